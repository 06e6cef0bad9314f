package awsstub_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
)

// bench is a stub with clients of the SDK, and one queue.
type bench struct {
	*awsstub.Server

	t   *testing.T
	cfg aws.Config
	sqs *sqs.Client
	sns *sns.Client
	url string
}

func start(t *testing.T, queue string, attributes map[string]string) *bench {
	t.Helper()
	s := awsstub.Start()
	transport := &http.Transport{}
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
	})
	b := &bench{Server: s, t: t, cfg: aws.Config{
		Region: awsstub.Region, BaseEndpoint: aws.String(s.URL()), HTTPClient: &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: awsstub.KeyID, SecretAccessKey: "any"}, nil
		}),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}}
	b.sqs, b.sns = sqs.NewFromConfig(b.cfg), sns.NewFromConfig(b.cfg)
	b.url = b.queue(queue, attributes)
	return b
}

func (b *bench) queue(name string, attributes map[string]string) string {
	b.t.Helper()
	all := map[string]string{}
	maps.Copy(all, attributes)
	if strings.HasSuffix(name, ".fifo") {
		all["FifoQueue"] = "true"
	}
	out, err := b.sqs.CreateQueue(b.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all})
	require.NoError(b.t, err)
	return *out.QueueUrl
}

func (b *bench) fifo() bool { return strings.HasSuffix(b.url, ".fifo") }

// send sends messages whose bodies begin with their group: a0, a1, b0.
func (b *bench) send(bodies ...string) {
	b.t.Helper()
	for _, body := range bodies {
		in := &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: &body}
		if b.fifo() {
			in.MessageGroupId, in.MessageDeduplicationId = aws.String(body[:1]), &body
		}
		_, err := b.sqs.SendMessage(b.t.Context(), in)
		require.NoError(b.t, err)
	}
}

func (b *bench) receive(attempt string) []types.Message {
	b.t.Helper()
	in := &sqs.ReceiveMessageInput{
		QueueUrl: &b.url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	}
	if attempt != "" {
		in.ReceiveRequestAttemptId = &attempt
	}
	out, err := b.sqs.ReceiveMessage(b.t.Context(), in)
	require.NoError(b.t, err)
	return out.Messages
}

func (b *bench) bodies() []string {
	b.t.Helper()
	return bodiesOf(b.receive(""))
}

func bodiesOf(messages []types.Message) []string {
	bodies := []string{}
	for _, m := range messages {
		bodies = append(bodies, *m.Body)
	}
	return bodies
}

func (b *bench) lend(m types.Message, seconds int32) error {
	_, err := b.sqs.ChangeMessageVisibility(b.t.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &b.url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds,
	})
	return err
}

func (b *bench) delete(m types.Message) error {
	_, err := b.sqs.DeleteMessage(b.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &b.url, ReceiptHandle: m.ReceiptHandle})
	return err
}

func codeOf(t *testing.T, err error) string {
	t.Helper()
	var api smithy.APIError
	require.ErrorAs(t, err, &api)
	return api.ErrorCode()
}

func TestGroupIsHeldWhileAnyOfItIsInFlight(t *testing.T) {
	t.Parallel()
	b := start(t, "q.fifo", nil)
	b.send("a0", "a1", "a2")
	first := b.receive("")
	require.Equal(t, []string{"a0", "a1", "a2"}, bodiesOf(first), "one receive may return several of a group")
	b.send("a3", "b0")
	require.Equal(t, []string{"b0"}, b.bodies(), "other groups go on")
	require.NoError(t, b.lend(first[2], 0))
	require.Empty(t, b.bodies(), "a2 was given back, a0 and a1 are out")
	require.NoError(t, b.lend(first[0], 0))
	require.Empty(t, b.bodies(), "a0 was given back, a1 is out")
	require.NoError(t, b.lend(first[1], 0))
	again := b.receive("")
	require.Equal(t, []string{"a0", "a1", "a2", "a3"}, bodiesOf(again), "all come again in order")
	require.Equal(t, "2", again[0].Attributes["ApproximateReceiveCount"])
	require.Equal(t, "a", again[0].Attributes["MessageGroupId"])
	require.Less(t, again[0].Attributes["SequenceNumber"], again[1].Attributes["SequenceNumber"])
	b.Advance(31 * time.Second)
	require.Equal(t, []string{"a0", "a1", "a2", "a3", "b0"}, b.bodies(), "the visibility timeout has passed")
}

func TestExpiredHandles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"q.fifo", "q"} {
		b := start(t, name, nil)
		b.send("a0")
		old := b.receive("")[0]
		b.Advance(31 * time.Second)
		require.Equal(t, "AWS.SimpleQueueService.MessageNotInflight", codeOf(t, b.lend(old, 30)))
		if b.fifo() {
			require.ErrorContains(t, b.delete(old), "The receipt handle has expired")
		}
		now := b.receive("")[0]
		require.Error(t, b.lend(old, 30), "a stale handle")
		if b.fifo() {
			require.ErrorContains(t, b.delete(old), "The receipt handle has expired")
		} else {
			require.NoError(t, b.delete(old), "it succeeds and does nothing")
		}
		require.NoError(t, b.lend(now, 0))
		last := b.receive("")
		require.Len(t, last, 1)
		require.NoError(t, b.delete(last[0]))
		require.NoError(t, b.delete(last[0]), "a delete may be repeated")
		b.Advance(time.Minute)
		require.Empty(t, b.bodies())
	}
}

func TestTwelveHoursCountFromTheReceive(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	b.send("a0")
	m := b.receive("")[0]
	require.NoError(t, b.lend(m, 43_200-2))
	b.Advance(time.Hour)
	require.ErrorContains(t, b.lend(m, 43_200-1000), "Total VisibilityTimeout")
	require.NoError(t, b.lend(m, 39_000), "what was refused has changed nothing")
	require.Error(t, b.lend(m, 43_201))
}

func TestDuplicatesAreRecognizedForFiveMinutes(t *testing.T) {
	t.Parallel()
	b := start(t, "q.fifo", nil)
	b.send("a0", "a0")
	require.Equal(t, []string{"a0"}, b.bodies())
	b.Advance(4 * time.Minute)
	b.send("a0")
	b.Advance(2 * time.Minute)
	b.send("a0")
	require.Equal(t, []string{"a0", "a0"}, b.bodies())
}

func TestAttemptIsRepeated(t *testing.T) {
	t.Parallel()
	b := start(t, "q.fifo", nil)
	b.send("a0", "a1")
	repair := b.Break(awsstub.Fault{Action: "ReceiveMessage", Lose: true})
	_, err := b.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &b.url, MaxNumberOfMessages: 10, ReceiveRequestAttemptId: aws.String("one"),
	})
	require.Error(t, err, "the answer is lost")
	repair()
	require.Empty(t, b.bodies())
	again := b.receive("one")
	require.Equal(t, []string{"a0", "a1"}, bodiesOf(again))
	require.Equal(t, again[0].ReceiptHandle, b.receive("one")[0].ReceiptHandle)
	require.NoError(t, b.delete(again[0]))
	require.Empty(t, b.receive("one"), "one of the messages was deleted")
}

// TestCancelledPollGoesOn takes what comes before the poll's wait is over.
func TestCancelledPollGoesOn(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &b.url, WaitTimeSeconds: 20})
	require.Error(t, err)
	b.send("a0")
	// Not by require.Never: its last look may still run when it returns, and take what comes.
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		require.Empty(t, b.bodies(), "nobody has it")
		time.Sleep(20 * time.Millisecond) // the server's own time is what counts
	}
	b.Advance(31 * time.Second)
	require.Equal(t, "2", b.receive("")[0].Attributes["ApproximateReceiveCount"])
}

func TestPollWaits(t *testing.T) {
	t.Parallel()
	b := start(t, "q", map[string]string{"VisibilityTimeout": "1"})
	b.send("a0")
	require.Len(t, b.receive(""), 1)
	out, err := b.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &b.url, WaitTimeSeconds: 20})
	require.NoError(t, err)
	require.Equal(t, []string{"a0"}, bodiesOf(out.Messages), "a second later it is visible again")
}

func TestLimitsOfAMessage(t *testing.T) {
	t.Parallel()
	b := start(t, "q.fifo", nil)
	send := func(body, group, dedup string, attributes int) error {
		in := &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: &body, MessageGroupId: &group, MessageDeduplicationId: &dedup,
			MessageAttributes: map[string]types.MessageAttributeValue{}}
		for i := range attributes {
			in.MessageAttributes[fmt.Sprint("a", i)] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("v")}
		}
		_, err := b.sqs.SendMessage(t.Context(), in)
		return err
	}
	require.NoError(t, send(strings.Repeat("x", 1<<20), "g", "largest", 0))
	require.Equal(t, "InvalidParameterValue", codeOf(t, send(strings.Repeat("x", 1<<20+1), "g", "too large", 0)))
	require.NoError(t, send("x", "g", "ten", 10))
	require.Equal(t, "InvalidParameterValue", codeOf(t, send("x", "g", "eleven", 11)))
	require.Equal(t, "InvalidMessageContents", codeOf(t, send("\x0b", "g", "control", 0)))
	require.Equal(t, "InvalidMessageContents", codeOf(t, send("\ufffe", "g", "non-character", 0)))
	require.NoError(t, send("\x7f", "g", "delete", 0))
	require.Error(t, send("x", "a b", "space", 0))
	require.Error(t, send("x", "ä", "umlaut", 0))
	require.Error(t, send("x", strings.Repeat("g", 129), "long", 0))
	require.Equal(t, "MissingParameter", codeOf(t, send("x", "", "none", 0)))
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	batch := func(bodies ...string) (*sqs.SendMessageBatchOutput, error) {
		in := &sqs.SendMessageBatchInput{QueueUrl: &b.url}
		for i, body := range bodies {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: &body})
		}
		return b.sqs.SendMessageBatch(t.Context(), in)
	}
	out, err := batch("a", "\x00", "c")
	require.NoError(t, err, "each entry has its own result")
	require.Len(t, out.Successful, 2)
	require.Len(t, out.Failed, 1)
	require.Equal(t, "1", *out.Failed[0].Id)
	require.True(t, out.Failed[0].SenderFault)
	require.Equal(t, []string{"a", "c"}, b.bodies())

	half := strings.Repeat("x", 1<<19)
	_, err = batch(half, half+"x")
	require.Equal(t, "AWS.SimpleQueueService.BatchRequestTooLong", codeOf(t, err))
	_, err = batch(make([]string, 11)...)
	require.Equal(t, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", codeOf(t, err))

	defer b.Break(awsstub.Fault{Action: "SendMessageBatch", PerEntry: true, Times: 1, Code: "InternalError", Server: true})()
	out, err = batch("d", "e")
	require.NoError(t, err)
	require.False(t, out.Failed[0].SenderFault)
	require.Equal(t, []string{"e"}, b.bodies())
}

func TestQueuesAreCreatedOnce(t *testing.T) {
	t.Parallel()
	b := start(t, "q", map[string]string{"VisibilityTimeout": "20"})
	require.Equal(t, b.url, b.queue("q", map[string]string{"VisibilityTimeout": "20"}))
	_, err := b.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("q"), Attributes: map[string]string{"VisibilityTimeout": "21"},
	})
	require.Equal(t, "QueueAlreadyExists", codeOf(t, err))
	_, err = b.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("none")})
	require.Equal(t, "AWS.SimpleQueueService.NonExistentQueue", codeOf(t, err))
	_, err = b.sqs.TagQueue(t.Context(), &sqs.TagQueueInput{QueueUrl: &b.url, Tags: map[string]string{"k": "v"}})
	require.NoError(t, err)
	tags, err := b.sqs.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: &b.url})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, tags.Tags)
	b.send("a0", "a1")
	b.bodies()
	b.send("a2")
	out, err := b.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &b.url, AttributeNames: []types.QueueAttributeName{"All"},
	})
	require.NoError(t, err)
	require.Equal(t, "1", out.Attributes["ApproximateNumberOfMessages"])
	require.Equal(t, "2", out.Attributes["ApproximateNumberOfMessagesNotVisible"])
	_, err = b.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &b.url})
	require.NoError(t, err)
	_, err = b.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")})
	require.Equal(t, "AWS.SimpleQueueService.QueueDeletedRecently", codeOf(t, err))
}

func TestRedrivePolicyMovesAMessage(t *testing.T) {
	t.Parallel()
	b := start(t, "dead", nil)
	dead := b.url
	b.url = b.queue("q", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}`, "VisibilityTimeout": "0",
	})
	b.send("a0")
	require.Len(t, b.receive(""), 1)
	require.Empty(t, b.receive(""))
	b.url = dead
	require.Equal(t, []string{"a0"}, b.bodies())
}

// topic creates a topic to which the queue of the bench is subscribed.
func (b *bench) topic(name string, permitted bool, attributes map[string]string) string {
	b.t.Helper()
	in := &sns.CreateTopicInput{Name: &name, Attributes: attributes}
	made, err := b.sns.CreateTopic(b.t.Context(), in)
	require.NoError(b.t, err)
	if permitted {
		policy := `{"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage",` +
			`"Condition":{"ArnEquals":{"aws:SourceArn":"` + *made.TopicArn + `"}}}]}`
		_, err = b.sqs.SetQueueAttributes(b.t.Context(), &sqs.SetQueueAttributesInput{
			QueueUrl: &b.url, Attributes: map[string]string{"Policy": policy},
		})
		require.NoError(b.t, err)
	}
	return *made.TopicArn
}

func (b *bench) subscribe(topic string, raw bool) (*sns.SubscribeOutput, error) {
	return b.sns.Subscribe(b.t.Context(), &sns.SubscribeInput{
		TopicArn: &topic, Protocol: aws.String("sqs"),
		Endpoint:   aws.String("arn:aws:sqs:us-east-1:000000000000:" + b.url[strings.LastIndex(b.url, "/")+1:]),
		Attributes: map[string]string{"RawMessageDelivery": fmt.Sprint(raw)},
	})
}
