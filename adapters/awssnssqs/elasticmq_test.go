package awssnssqs_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestElasticMQOverRestarts shows, without Leat, why no load is measured over restarts of an
// ElasticMQ: it loses messages that it has confirmed within the last second, and forgets that a
// message of a FIFO group is out. Where this fails, a later version may be good for that.
func TestElasticMQOverRestarts(t *testing.T) {
	if !brokertest.Long() {
		t.Skip("it is about ElasticMQ, and runs with LEAT_LONG")
	}
	t.Parallel()
	server := brokertest.StartElasticMQ(t, &brokertest.ElasticMQOptions{Persist: true})
	c := sqs.NewFromConfig(aws.Config{Region: awsstub.Region, BaseEndpoint: aws.String(server.URL()), Credentials: static{}})
	made, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("raw.fifo"), Attributes: map[string]string{"FifoQueue": "true"},
	})
	require.NoError(t, err)
	send := func(group, id string) {
		_, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: made.QueueUrl, MessageBody: &id, MessageGroupId: &group, MessageDeduplicationId: aws.String(group + id),
		})
		require.NoError(t, err)
	}
	receive := func(most int32) (messages []types.Message) {
		got, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: made.QueueUrl, MaxNumberOfMessages: most, VisibilityTimeout: 30, WaitTimeSeconds: 1,
		})
		require.NoError(t, err)
		return got.Messages
	}
	stored := func() { time.Sleep(3 * time.Second) } // it stores what it has after a second

	send("a", "0")
	send("a", "1")
	stored()
	require.Equal(t, "0", *receive(1)[0].Body)
	require.Empty(t, receive(1), "the group waits for its first message")
	stored()
	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	require.NotEmpty(t, receive(1), "the first message is still out, and the second one comes")

	const most = 500
	for i := range most {
		send("b"+strconv.Itoa(i), "0")
	}
	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	came := 0
	for messages := receive(10); len(messages) > 0; messages = receive(10) {
		came += len(messages)
	}
	require.Less(t, came, most, "of what was confirmed")
}
