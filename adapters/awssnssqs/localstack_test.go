package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// rawQueue is a FIFO queue with one message, which a test uses without Leat.
type rawQueue struct {
	*testing.T

	c   *sqs.Client
	url *string
}

func newRawQueue(t *testing.T, server string) *rawQueue {
	t.Helper()
	q := &rawQueue{T: t, c: clientOf(t, server)}
	name := awssnssqs.QueueName(true, brokertest.Name(t))
	made, err := q.c.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: &name, Attributes: map[string]string{"FifoQueue": "true"},
	})
	require.NoError(t, err)
	q.url = made.QueueUrl
	_, err = q.c.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: q.url, MessageBody: aws.String("0"), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("0"),
	})
	require.NoError(t, err)
	return q
}

// comes waits until the message is lent, for a time in seconds.
func (q *rawQueue) comes(visibility int32) types.Message {
	q.Helper()
	for began := time.Now(); ; {
		got, err := q.c.ReceiveMessage(q.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: q.url, VisibilityTimeout: visibility, WaitTimeSeconds: 1,
		})
		require.NoError(q, err)
		if len(got.Messages) > 0 {
			return got.Messages[0]
		}
		require.Less(q, time.Since(began), brokertest.Patience)
	}
}

// deletes reports whether the queue takes a delete by an old receipt, after somebody else has
// received the message.
func (q *rawQueue) deletes() bool {
	q.Helper()
	old := q.comes(1)
	q.comes(600)
	_, err := q.c.DeleteMessage(q.Context(), &sqs.DeleteMessageInput{QueueUrl: q.url, ReceiptHandle: old.ReceiptHandle})
	all, e := q.c.GetQueueAttributes(q.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessagesNotVisible},
	})
	require.NoError(q, e)
	left := all.Attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
	require.Equal(q, err != nil, left, "%v", err)
	return !left
}

// TestLocalStackOldReceipts shows, without Leat, why isolated-acks-sent-once fails on LocalStack:
// there, a delete that arrives late takes away what another consumer holds. AWS documents that a
// FIFO queue refuses it, as ElasticMQ and the stub do. Where this fails, a later version may pass
// that case.
func TestLocalStackOldReceipts(t *testing.T) {
	t.Parallel()
	stub := awsstub.Start()
	t.Cleanup(stub.Close)
	require.True(t, newRawQueue(t, brokertest.LocalStack(t)).deletes(), "LocalStack")
	require.False(t, newRawQueue(t, brokertest.ElasticMQ(t)).deletes(), "ElasticMQ")
	require.False(t, newRawQueue(t, stub.URL()).deletes(), "the stub")
}
