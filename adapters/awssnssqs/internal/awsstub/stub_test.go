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
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
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
	require.Never(t, func() bool { return len(b.bodies()) > 0 }, 300*time.Millisecond, 20*time.Millisecond, "nobody has it")
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

func TestFaults(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	send := func(ctx context.Context) error {
		_, err := b.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String("a")})
		return err
	}
	repair := b.Break(awsstub.Fault{Action: "SendMessage", Share: 0.5, Code: "ThrottlingException"})
	refused := 0
	for range 100 {
		if err := send(t.Context()); err != nil {
			require.Equal(t, "ThrottlingException", codeOf(t, err))
			refused++
		}
	}
	require.InDelta(t, 50, refused, 20)
	repair()

	repair = b.Break(awsstub.Fault{Action: "SendMessage", Times: 1, Code: "AccessDenied"})
	require.Equal(t, "AccessDenied", codeOf(t, send(t.Context())))
	require.NoError(t, send(t.Context()), "it was for one call")
	repair()

	before := b.Calls()["SendMessage"]
	repair = b.Break(awsstub.Fault{Action: "SendMessage", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, send(ctx), context.DeadlineExceeded)
	repair()
	require.Equal(t, before+1, b.Calls()["SendMessage"])
}

func TestPauseHoldsRequests(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	require.NoError(t, b.Pause())
	sent := make(chan error)
	go func() {
		_, err := b.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String("a")})
		sent <- err
	}()
	select {
	case err := <-sent:
		require.NoError(t, err)
		require.Fail(t, "it was answered")
	case <-time.After(100 * time.Millisecond): // long enough to be answered
	}
	require.NoError(t, b.Resume())
	require.NoError(t, <-sent)
	require.Equal(t, []string{"a"}, b.bodies())
}

func TestWhoSignsAndWhen(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	list := func(change func(o *sqs.Options)) error {
		_, err := b.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{}, change)
		return err
	}
	as := func(id string) func(o *sqs.Options) {
		return func(o *sqs.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: id, SecretAccessKey: "any"}, nil
			})
		}
	}
	require.NoError(t, list(as(awsstub.KeyID)))
	require.Equal(t, "InvalidClientTokenId", codeOf(t, list(as("another"))))
	require.Equal(t, "SignatureDoesNotMatch", codeOf(t, list(func(o *sqs.Options) { o.Region = "eu-west-1" })))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL(), strings.NewReader("{}"))
	require.NoError(t, err)
	answer, err := b.cfg.HTTPClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode, "without a signature")
	b.Skew(10 * time.Minute)
	client := sqs.NewFromConfig(b.cfg)
	_, err = client.ListQueues(t.Context(), &sqs.ListQueuesInput{})
	require.Equal(t, "SignatureDoesNotMatch", codeOf(t, err))
	b.Skew(0)
	require.NoError(t, list(as(awsstub.KeyID)))
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
