package awsstub_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTopicDeliversRaw(t *testing.T) {
	t.Parallel()
	b := start(t, "q.fifo", nil)
	topic := b.topic("t.fifo", true, map[string]string{"FifoTopic": "true"})
	_, err := b.subscribe(topic, true)
	require.NoError(t, err)
	_, err = b.subscribe(topic, true)
	require.NoError(t, err)
	_, err = b.subscribe(topic, false)
	require.Equal(t, "InvalidParameter", codeOf(t, err), "other attributes")

	attribute := snstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("v")}
	many := map[string]snstypes.MessageAttributeValue{}
	for i := range 11 {
		many[fmt.Sprint("a", i)] = attribute
	}
	in := &sns.PublishBatchInput{TopicArn: &topic}
	for i, attributes := range []map[string]snstypes.MessageAttributeValue{{"a": attribute}, many, nil} {
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, snstypes.PublishBatchRequestEntry{
			Id: aws.String(fmt.Sprint(i)), Message: aws.String(fmt.Sprint("g", i, "<&>")), MessageGroupId: aws.String("g"),
			MessageDeduplicationId: aws.String(fmt.Sprint(i)), MessageAttributes: attributes,
		})
	}
	in.PublishBatchRequestEntries[2].MessageDeduplicationId = aws.String("two")
	for range 2 { // the second is a duplicate
		out, err := b.sns.PublishBatch(t.Context(), in)
		require.NoError(t, err)
		require.Len(t, out.Successful, 3, "11 attributes are accepted")
		require.NotEmpty(t, *out.Successful[0].SequenceNumber)
	}
	got := b.receive("")
	require.Equal(t, []string{"g0<&>", "g2<&>"}, bodiesOf(got), "the delivery with 11 attributes is gone")
	require.Equal(t, "v", *got[0].MessageAttributes["a"].StringValue)
	require.Equal(t, "g", got[0].Attributes["MessageGroupId"])
}

func TestTopicDeliversEnvelopesAndOnlyWherePermitted(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	topic := b.topic("t", false, nil)
	_, err := b.subscribe(topic, false)
	require.NoError(t, err)
	publish := func(size int) error {
		_, err := b.sns.Publish(t.Context(), &sns.PublishInput{
			TopicArn: &topic, Message: aws.String(strings.Repeat("x", size)), MessageGroupId: aws.String("g"),
		})
		return err
	}
	require.NoError(t, publish(1))
	require.Empty(t, b.bodies(), "no policy lets the topic send, and nobody is told")
	b.topic("t", true, nil)
	require.NoError(t, publish(1))
	got := b.receive("")
	require.Len(t, got, 1)
	assert.Contains(t, *got[0].Body, `"Message":"x"`)
	assert.Contains(t, *got[0].Body, `"Type":"Notification"`)
	assert.Equal(t, "g", got[0].Attributes["MessageGroupId"], "a standard topic passes it on")
	require.NoError(t, publish(256<<10))
	require.Equal(t, "InvalidParameter", codeOf(t, publish(256<<10+1)))
	_, err = b.sns.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{
		TopicArn: &topic, AttributeName: aws.String("MaximumMessageSize"), AttributeValue: aws.String("1048576"),
	})
	require.NoError(t, err)
	require.NoError(t, publish(256<<10+1))

	attributes, err := b.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &topic})
	require.NoError(t, err)
	require.Equal(t, "1048576", attributes.Attributes["MaximumMessageSize"])
	subs, err := b.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	require.NoError(t, err)
	require.Len(t, subs.Subscriptions, 1)
	sub, err := b.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{
		SubscriptionArn: subs.Subscriptions[0].SubscriptionArn,
	})
	require.NoError(t, err)
	require.Equal(t, "false", sub.Attributes["RawMessageDelivery"])
	_, err = b.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: subs.Subscriptions[0].SubscriptionArn})
	require.NoError(t, err)
	_, err = b.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: aws.String(topic + "x")})
	require.Equal(t, "NotFound", codeOf(t, err))
}
