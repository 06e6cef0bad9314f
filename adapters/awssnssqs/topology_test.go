package awssnssqs_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plainName is a name that stays as it is.
func plainName(t *testing.T) string {
	t.Helper()
	return strings.ReplaceAll(brokertest.Name(t), ".", "-")
}

// account is the native clients of the server that the tests share.
type account struct {
	testing.TB

	ctx context.Context
	sqs *sqs.Client
	sns *sns.Client
	url string
}

// TestTopology runs on the stub, and on a real server.
func TestTopology(t *testing.T) {
	t.Parallel()
	servers := map[string]func(t *testing.T) string{
		"stub":       stubURL,
		"LocalStack": func(t *testing.T) string { t.Helper(); return brokertest.LocalStack(t) },
	}
	for server, url := range servers {
		for name, check := range map[string]func(*testing.T, *account){
			"DeclareCreates":           checkDeclareCreates,
			"DeclareTopic":             checkDeclareTopic,
			"CannotHold":               checkCannotHold,
			"NamesThatMeet":            checkNamesThatMeet,
			"PolicyIsMerged":           checkPolicyIsMerged,
			"Verify":                   checkVerify,
			"SubscriptionThatIsNotRaw": checkSubscriptionThatIsNotRaw,
			"Existing":                 checkExisting,
			"RedrivePolicy":            checkRedrivePolicy,
			"LagOfBothKinds":           checkLagOfBothKinds,
		} {
			t.Run(server+"/"+name, func(t *testing.T) {
				t.Parallel()
				check(t, accountOf(t, url(t)))
			})
		}
	}
}

func stubURL(t *testing.T) string {
	t.Helper()
	stub := awsstub.Start()
	t.Cleanup(stub.Close)
	return stub.URL()
}

func accountOf(t *testing.T, url string) *account {
	t.Helper()
	a := &account{TB: t, ctx: t.Context(), url: url}
	client := connections(t)
	a.sqs = sqs.New(sqs.Options{Region: awsstub.Region, BaseEndpoint: &a.url, Credentials: static{}, HTTPClient: client})
	a.sns = sns.New(sns.Options{Region: awsstub.Region, BaseEndpoint: &a.url, Credentials: static{}, HTTPClient: client})
	return a
}

// connections returns an HTTP client whose connections end with the test. That of the SDK keeps
// them for 90 s, also to a server that other tests use.
func connections(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// static are credentials that every server of the tests takes.
type static struct{}

func (static) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: awsstub.KeyID, SecretAccessKey: "secret"}, nil
}

// broker returns a broker of the account. The end of the test closes it.
func (a *account) broker(o awssnssqs.Options) *awssnssqs.Broker {
	a.Helper()
	o.Endpoint, o.RequestTimeout = a.url, brokertest.Patience
	o.Config = &aws.Config{Region: awsstub.Region, Credentials: static{}}
	b, err := awssnssqs.New(&o)
	require.NoError(a, err)
	a.Cleanup(func() { assert.NoError(a, b.Close()) })
	return b
}

// queue returns URL and attributes of a queue.
func (a *account) queue(name string) (url string, attributes map[string]string) {
	a.Helper()
	out, err := a.sqs.GetQueueUrl(a.ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	require.NoError(a, err, name)
	all, err := a.sqs.GetQueueAttributes(a.ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: out.QueueUrl, AttributeNames: []types.QueueAttributeName{"All"},
	})
	require.NoError(a, err)
	return *out.QueueUrl, all.Attributes
}

func (a *account) set(url, name, value string) {
	a.Helper()
	_, err := a.sqs.SetQueueAttributes(a.ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{name: value}})
	require.NoError(a, err)
}

func (a *account) tags(url string) map[string]string {
	a.Helper()
	out, err := a.sqs.ListQueueTags(a.ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	require.NoError(a, err)
	return out.Tags
}

func (a *account) topic(name string) map[string]string {
	a.Helper()
	out, err := a.sns.GetTopicAttributes(a.ctx, &sns.GetTopicAttributesInput{TopicArn: aws.String(arnOf("sns", name))})
	require.NoError(a, err, name)
	return out.Attributes
}

func (a *account) createTopic(name string, attributes map[string]string) {
	a.Helper()
	_, err := a.sns.CreateTopic(a.ctx, &sns.CreateTopicInput{Name: &name, Attributes: attributes})
	require.NoError(a, err)
}

func (a *account) createQueue(name string, attributes map[string]string) (url string) {
	a.Helper()
	out, err := a.sqs.CreateQueue(a.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	require.NoError(a, err)
	return *out.QueueUrl
}

func (a *account) subscriptions(topic string) map[string]map[string]string {
	a.Helper()
	page, err := a.sns.ListSubscriptionsByTopic(a.ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(arnOf("sns", topic))})
	require.NoError(a, err)
	all := map[string]map[string]string{}
	for _, s := range page.Subscriptions {
		out, err := a.sns.GetSubscriptionAttributes(a.ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: s.SubscriptionArn})
		require.NoError(a, err)
		all[*s.Endpoint] = out.Attributes
	}
	return all
}

func arnOf(service, name string) string {
	return "arn:aws:" + service + ":us-east-1:000000000000:" + name
}

func declares(t *testing.T, b *awssnssqs.Broker, subs ...leat.Subscription) {
	t.Helper()
	for range 2 { // the second changes nothing
		require.NoError(t, b.Declare(t.Context(), subs...))
	}
}

// checkDeclareCreates: names, tags, kinds, and what lets events through.
func checkDeclareCreates(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	b := a.broker(awssnssqs.Options{MaxMessageBytes: 1 << 20, Visibility: time.Minute})
	declares(t, b, leat.Subscription{Topic: topic, Group: "billing"}, leat.Subscription{Topic: topic, Group: "free", Unordered: true})
	attributes := a.topic(topic + ".fifo")
	assert.Equal(t, "true", attributes["FifoTopic"])
	assert.Equal(t, "MessageGroup", attributes["FifoThroughputScope"])

	url, attributes := a.queue(topic + "-billing.fifo")
	assert.Equal(t, "true", attributes["FifoQueue"])
	assert.Equal(t, "messageGroup", attributes["DeduplicationScope"])
	assert.Equal(t, "perMessageGroupId", attributes["FifoThroughputLimit"])
	assert.Equal(t, "1209600", attributes["MessageRetentionPeriod"])
	assert.Empty(t, attributes["RedrivePolicy"])
	assert.Equal(t, map[string]string{"leat-topic": topic, "leat-group": "billing"}, a.tags(url))
	var policy struct {
		Statement []struct {
			Resource string `json:"Resource"`
		} `json:"Statement"`
	}
	require.NoError(t, json.Unmarshal([]byte(attributes["Policy"]), &policy))
	require.Len(t, policy.Statement, 1)
	assert.Equal(t, attributes["QueueArn"], policy.Statement[0].Resource)

	_, attributes = a.queue(topic + "-free")
	assert.Empty(t, attributes["FifoQueue"])
	subscriptions := a.subscriptions(topic + ".fifo")
	assert.Len(t, subscriptions, 2)
	for _, s := range subscriptions {
		assert.Equal(t, "true", s["RawMessageDelivery"])
	}

	lag, err := b.Lag(t.Context(), topic, "billing")
	require.NoError(t, err)
	assert.Zero(t, lag.Events)
	assert.Equal(t, topic+"-billing.fifo", lag.Parts[0].Name)
	_, err = b.Lag(t.Context(), topic, "nobody")
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
}

// checkDeclareTopic: of a topic alone, and of a broadcast, only the topic.
func checkDeclareTopic(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	declares(t, a.broker(awssnssqs.Options{}), leat.Subscription{Topic: topic})
	declares(t, a.broker(awssnssqs.Options{Mode: awssnssqs.ModePublish, Standard: true}), leat.Subscription{Topic: topic})
	assert.Empty(t, a.subscriptions(topic+".fifo"))
	assert.Empty(t, a.subscriptions(topic))

	queues := a.broker(awssnssqs.Options{Mode: awssnssqs.ModeSQS})
	declares(t, queues, leat.Subscription{Topic: topic})
	url, _ := a.queue(topic + ".fifo")
	assert.Equal(t, map[string]string{"leat-topic": topic}, a.tags(url))
	declares(t, queues, leat.Subscription{Topic: topic, Group: "billing"})
	assert.Equal(t, map[string]string{"leat-topic": topic, "leat-group": "billing"}, a.tags(url))
	err := queues.Declare(t.Context(), leat.Subscription{Topic: topic, Group: "audit"})
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, `is that of the group "billing"`)
}

// checkCannotHold: what no topology can give.
func checkCannotHold(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	for text, o := range map[string]awssnssqs.Options{
		"keeps no order": {Standard: true},
		"in ModeSQS, or its topic, is a standard one"[11:]: {Standard: true, Mode: awssnssqs.ModeSQS},
		"has no queues":              {Mode: awssnssqs.ModePublish},
		"set Subscription.Unordered": {Topics: map[string]string{topic: arnOf("sns", "of-others")}},
	} {
		err := a.broker(o).Declare(t.Context(), leat.Subscription{Topic: topic, Group: "g"})
		assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
		assert.ErrorContains(t, err, text)
	}
}

// checkNamesThatMeet: two groups never share a queue.
func checkNamesThatMeet(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	b := a.broker(awssnssqs.Options{})
	declares(t, b, leat.Subscription{Topic: topic + "-x", Group: "y"})
	err := b.Declare(t.Context(), leat.Subscription{Topic: topic, Group: "x-y"})
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, `has the tag leat-group "y" and not "x-y"`)
	assert.ErrorContains(t, err, "has the tag leat-topic")
	assert.Empty(t, a.subscriptions(topic+".fifo"), "the queue of the other group stays as it is")
}

// checkPolicyIsMerged: what others put into the policy of a queue stays there.
func checkPolicyIsMerged(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	url := a.createQueue(topic+"-g.fifo", map[string]string{"FifoQueue": "true"})
	other := `{"Sid":"other","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sqs:*",` +
		`"Resource":"` + arnOf("sqs", topic+"-g.fifo") + `","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`
	a.set(url, "Policy", `{"Version":"2012-10-17","Id":"mine","Statement":`+other+`}`)
	declares(t, a.broker(awssnssqs.Options{}), leat.Subscription{Topic: topic, Group: "g"})
	_, attributes := a.queue(topic + "-g.fifo")
	var policy struct {
		ID        string            `json:"Id"`
		Statement []json.RawMessage `json:"Statement"`
	}
	require.NoError(t, json.Unmarshal([]byte(attributes["Policy"]), &policy))
	assert.Equal(t, "mine", policy.ID)
	require.Len(t, policy.Statement, 2)
	assert.JSONEq(t, other, string(policy.Statement[0]))
	assert.Contains(t, a.tags(url), "leat-group")
}

// checkVerify reports every difference in one error, and changes nothing.
func checkVerify(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	sub := leat.Subscription{Topic: topic, Group: "g"}
	verify := a.broker(awssnssqs.Options{Provision: awssnssqs.ProvisionVerify})
	err := verify.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, `the SNS topic "`+topic+`.fifo" does not exist`)
	assert.ErrorContains(t, err, `the queue "`+topic+`-g.fifo" does not exist`)

	a.createTopic(topic+".fifo", map[string]string{"FifoTopic": "true"})
	url := a.createQueue(topic+"-g.fifo", map[string]string{"FifoQueue": "true", "MessageRetentionPeriod": "60"})
	err = verify.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%v", err)
	for _, text := range []string{
		"FifoThroughputScope of the SNS topic", "DeduplicationScope of the queue", "FifoThroughputLimit of the queue",
		"MessageRetentionPeriod of the queue", "does not allow sns.amazonaws.com", "the subscription of the queue",
	} {
		assert.ErrorContains(t, err, text)
	}
	assert.NotContains(t, err.Error(), "000000000000", "no account id")
	assert.Empty(t, a.tags(url), "nothing is changed")
	_, attributes := a.queue(topic + "-g.fifo")
	assert.Empty(t, attributes["Policy"])

	other := topic + "2"
	declares(t, a.broker(awssnssqs.Options{}), leat.Subscription{Topic: other, Group: "g"})
	sub.Topic = other
	declares(t, verify, sub)
	url, _ = a.queue(other + "-g.fifo")
	a.set(url, "Policy", `{"Statement":{"Effect":"Deny","Principal":"*","Action":"SQS:*","Resource":"*"}}`)
	err = verify.Declare(t.Context(), sub)
	assert.ErrorContains(t, err, "denies sns.amazonaws.com the action")

	off := a.broker(awssnssqs.Options{Provision: awssnssqs.ProvisionOff})
	declares(t, off, leat.Subscription{Topic: plainName(t) + "3", Group: "g"})
}

// checkSubscriptionThatIsNotRaw is a difference also where Leat may create what is missing.
func checkSubscriptionThatIsNotRaw(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	a.createTopic(topic+".fifo", map[string]string{"FifoTopic": "true"})
	a.createQueue(topic+"-g.fifo", map[string]string{"FifoQueue": "true"})
	_, err := a.sns.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: aws.String(arnOf("sns", topic+".fifo")), Protocol: aws.String("sqs"), Endpoint: aws.String(arnOf("sqs", topic+"-g.fifo")),
	})
	require.NoError(t, err)
	err = a.broker(awssnssqs.Options{}).Declare(t.Context(), leat.Subscription{Topic: topic, Group: "g"})
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "RawMessageDelivery of the subscription")
}

// checkExisting: topics and queues under names of their own are used, checked, and never changed.
func checkExisting(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	theirs := topic + "-of-others.fifo"
	sub := leat.Subscription{Topic: topic, Group: "g"}
	o := awssnssqs.Options{
		Topics: map[string]string{topic: arnOf("sns", theirs)},
		Queues: map[awssnssqs.Group]string{{Topic: topic, Group: "g"}: a.url + "/queue/us-east-1/000000000000/" + theirs},
	}
	b := a.broker(o)
	err := b.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "the SNS topic")
	assert.ErrorContains(t, err, "the queue")

	a.createTopic(theirs, map[string]string{"FifoTopic": "true"})
	url := a.createQueue(theirs, map[string]string{"FifoQueue": "true"})
	o.Queues[awssnssqs.Group{Topic: topic, Group: "g"}] = url
	err = a.broker(o).Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "does not allow")
	assert.ErrorContains(t, err, "the subscription")
	assert.Empty(t, a.tags(url))

	// A group of Leat's own on somebody else's topic.
	declares(t, a.broker(o), leat.Subscription{Topic: topic, Group: "mine"})
	assert.Len(t, a.subscriptions(theirs), 1)
}

// checkRedrivePolicy: it is never set, and what it does is told.
func checkRedrivePolicy(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	b, sub := a.broker(awssnssqs.Options{}), leat.Subscription{Topic: topic, Group: "g"}
	declares(t, b, sub)
	a.createQueue(topic+"-dead.fifo", map[string]string{"FifoQueue": "true"})
	url, _ := a.queue(topic + "-g.fifo")
	a.set(url, "RedrivePolicy", `{"deadLetterTargetArn":"`+arnOf("sqs", topic+"-dead.fifo")+`","maxReceiveCount":"5"}`)
	declares(t, b, sub)
	lag, err := b.Lag(t.Context(), topic, "g")
	require.NoError(t, err)
	assert.EqualValues(t, 5, lag.Parts[0].Details["max_receive_count"])
	stream, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	err = stream.(leat.HealthReporter).Health()
	assert.ErrorContains(t, err, "SQS moves a message that was received 5 times")
	assert.ErrorContains(t, err, "the later events of its key go on without it")
	require.NoError(t, stream.Close(t.Context()))
}

// checkLagOfBothKinds: a group that was ordered and is not any more has two queues.
func checkLagOfBothKinds(t *testing.T, a *account) {
	t.Helper()
	topic := plainName(t)
	b := a.broker(awssnssqs.Options{})
	declares(t, b, leat.Subscription{Topic: topic, Group: "g"}, leat.Subscription{Topic: topic, Group: "g", Unordered: true})
	for _, name := range []string{topic + "-g.fifo", topic + "-g"} {
		url, _ := a.queue(name)
		in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")}
		if strings.HasSuffix(name, ".fifo") {
			in.MessageGroupId, in.MessageDeduplicationId = aws.String("k"), aws.String("1")
		}
		_, err := a.sqs.SendMessage(t.Context(), in)
		require.NoError(t, err)
	}
	lag, err := b.Lag(t.Context(), topic, "g")
	require.NoError(t, err)
	assert.EqualValues(t, 2, lag.Events)
	assert.Len(t, lag.Parts, 2)
	assert.EqualValues(t, leat.LagUnknown, lag.Oldest)
	assert.EqualValues(t, 1, lag.Parts[1].Details["visible"])
}

// TestQueuesOnly: ElasticMQ, which has queues only, and not all attributes.
func TestQueuesOnly(t *testing.T) {
	t.Parallel()
	a, topic := accountOf(t, brokertest.ElasticMQ(t)), plainName(t)
	sub := leat.Subscription{Topic: topic, Group: "g"}
	verify := a.broker(awssnssqs.Options{Mode: awssnssqs.ModeSQS, Provision: awssnssqs.ProvisionVerify})
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(verify.Declare(t.Context(), sub)))
	b := a.broker(awssnssqs.Options{Mode: awssnssqs.ModeSQS})
	declares(t, b, sub)
	require.NoError(t, verify.Declare(t.Context(), sub))
	url, _ := a.queue(topic + ".fifo")
	assert.Equal(t, map[string]string{"leat-topic": topic, "leat-group": "g"}, a.tags(url))
	lag, err := b.Lag(t.Context(), topic, "g")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"visible": 0, "not_visible": 0, "delayed": 0}, lag.Parts[0].Details)

	standard := a.broker(awssnssqs.Options{Mode: awssnssqs.ModeSQS, Standard: true})
	declares(t, standard, leat.Subscription{Topic: topic, Group: "g", Unordered: true})
	a.queue(topic)
}

// TestSubscribedWithOtherAttributes: AWS refuses to subscribe again, and the subscription that
// exists counts.
func TestSubscribedWithOtherAttributes(t *testing.T) {
	t.Parallel()
	stub := awsstub.Start()
	t.Cleanup(stub.Close)
	a := accountOf(t, stub.URL())
	b := a.broker(awssnssqs.Options{})
	declares(t, b, leat.Subscription{Topic: "orders", Group: "g"})
	arn := arnOf("sns", "orders.fifo")
	page, err := a.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &arn})
	require.NoError(t, err)
	set := func(name, value string) {
		_, err := a.sns.SetSubscriptionAttributes(t.Context(), &sns.SetSubscriptionAttributesInput{
			SubscriptionArn: page.Subscriptions[0].SubscriptionArn, AttributeName: &name, AttributeValue: &value,
		})
		require.NoError(t, err)
	}
	set("FilterPolicy", `{"ce-type":["t"]}`)
	declares(t, b, leat.Subscription{Topic: "orders", Group: "g"})
	set("RawMessageDelivery", "false")
	err = b.Declare(t.Context(), leat.Subscription{Topic: "orders", Group: "g"})
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "RawMessageDelivery of the subscription")
	assert.Positive(t, stub.Calls()["ListSubscriptionsByTopic"])
}
