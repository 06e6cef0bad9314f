package awssnssqs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/conformance/committed"
)

var (
	_ eventtest.Injector    = (*harness)(nil)
	_ eventtest.KeyInjector = (*harness)(nil)
	_ eventtest.Malformer   = (*harness)(nil)
	_ eventtest.Pauser      = (*harness)(nil)
	_ eventtest.Cutter      = (*harness)(nil)
	_ eventtest.Isolator    = (*harness)(nil)
	_ eventtest.Dropper     = (*harness)(nil)
	_ eventtest.Pacer       = (*harness)(nil)
	_ eventtest.Stray       = (*harness)(nil)
	_ eventtest.LeaseTimer  = (*harness)(nil)
	_ eventtest.Holder      = (*harness)(nil)
	_ eventtest.KeyMaker    = (*harness)(nil)
	_ eventtest.Expirer     = expiring{}
	_ eventtest.Killer      = stub{}
)

// server is a LocalStack or an ElasticMQ.
type server interface {
	URL() string
	Pause() error
	Resume() error
}

// harness runs the suite on a server of its own, with a proxy before each instance of the adapter.
type harness struct {
	brokertest.Clients
	receipts

	server  server
	prefix  string
	topics  atomic.Int64
	options awssnssqs.Options
	pace    eventtest.Pace
}

// visibility is how long a lease lasts in the suite. What an isolated client has extended last
// comes again after that, and later where a request took it whose answer was lost.
const visibility = 20 * time.Second

func newHarness(s server, mode awssnssqs.Mode) *harness {
	return &harness{server: s, prefix: strings.ToLower(rand.Text()[:6]), options: awssnssqs.Options{
		Mode: mode, Visibility: visibility, Wait: time.Second, CloseTimeout: 5 * time.Second,
	}, pace: eventtest.Pace{
		Patience: 3 * visibility, Quiet: 300 * time.Millisecond, Operation: 1500 * time.Millisecond, OfKey: 1, Parallel: 3,
	}}
}

// config is the SDK's configuration for a test server.
func config() *aws.Config {
	return &aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}

func (h *harness) address() string {
	u, err := url.Parse(h.server.URL())
	if err != nil {
		panic(err) // the address is the test's own
	}
	return u.Host
}

func (h *harness) open(address string, timeout time.Duration) (*awssnssqs.Broker, error) {
	o := h.options
	o.Endpoint, o.Config, o.CloseTimeout = "http://"+address, config(), timeout
	o.Config.APIOptions = []func(*middleware.Stack) error{h.watch}
	return awssnssqs.New(&o)
}

func (h *harness) Open(context.Context) (leat.Broker, error) {
	return h.Via(h.address(), func(p *eventtest.Proxy) (brokertest.Adapter, error) {
		return h.open(p.Addr(), h.options.CloseTimeout)
	})
}

func (h *harness) OpenNowhere(context.Context) (leat.Broker, error) {
	p, err := eventtest.StartProxy(h.address())
	if err != nil {
		return nil, err
	}
	p.Close() // nobody listens there any more
	return h.open(p.Addr(), time.Second)
}

func (h *harness) LeasePeriod() time.Duration { return h.options.Visibility }

func (h *harness) Topic() string { return fmt.Sprintf("%s.%d", h.prefix, h.topics.Add(1)) }

func (h *harness) Pace() eventtest.Pace {
	return h.pace
}

// clients returns clients that do not go through the adapter.
func (h *harness) clients() (*sns.Client, *sqs.Client) {
	endpoint := h.server.URL()
	return sns.NewFromConfig(*config(), func(o *sns.Options) { o.BaseEndpoint = &endpoint }),
		sqs.NewFromConfig(*config(), func(o *sqs.Options) { o.BaseEndpoint = &endpoint })
}

// inject publishes a message past the adapter. A group is one for FIFO.
func (h *harness) inject(ctx context.Context, topic, body, group string, headers []leat.Header) error {
	topicClient, queueClient := h.clients()
	name := awssnssqs.TopicName(topic, !h.options.Standard)
	var groupID, dedup *string
	if h.options.FairQueues {
		groupID = &group
	}
	if !h.options.Standard {
		groupID, dedup = &group, aws.String(fmt.Sprint("inject-", h.topics.Add(1)))
	}
	if h.options.Mode == awssnssqs.ModeSQS {
		q, err := queueClient.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
		if err != nil {
			return err
		}
		in := &sqs.SendMessageInput{QueueUrl: q.QueueUrl, MessageBody: &body, MessageGroupId: groupID, MessageDeduplicationId: dedup,
			MessageAttributes: map[string]sqstypes.MessageAttributeValue{}}
		for _, header := range headers {
			in.MessageAttributes[header.Name] = sqstypes.MessageAttributeValue{
				DataType: aws.String("String"), StringValue: aws.String(string(header.Value)),
			}
		}
		_, err = queueClient.SendMessage(ctx, in)
		return err
	}
	in := &sns.PublishInput{
		TopicArn: aws.String("arn:aws:sns:us-east-1:000000000000:" + name), Message: &body, MessageGroupId: groupID,
		MessageDeduplicationId: dedup, MessageAttributes: map[string]snstypes.MessageAttributeValue{},
	}
	for _, header := range headers {
		in.MessageAttributes[header.Name] = snstypes.MessageAttributeValue{
			DataType: aws.String("String"), StringValue: aws.String(string(header.Value)),
		}
	}
	_, err := topicClient.Publish(ctx, in)
	return err
}

func (h *harness) Inject(ctx context.Context, topic string, m leat.Malformed) error {
	group := string(m.Key)
	if group == "" {
		group = fmt.Sprint("leat:inject-", h.topics.Add(1))
	}
	return h.inject(ctx, topic, string(m.Body), group, m.Headers)
}

// Malformed returns a message of characters that SQS takes, which has no bytes that are not UTF-8.
func (h *harness) Malformed(n int) leat.Malformed {
	return leat.Malformed{Body: fmt.Appendf(nil, "{\"no\": cloud event %d\U0001F916", n)}
}

func (h *harness) InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error {
	body, err := e.AppendJSON(nil)
	if err != nil {
		return err
	}
	if key == "" {
		key = fmt.Sprint("leat:inject-", h.topics.Add(1))
	}
	return h.inject(ctx, topic, strings.ToValidUTF8(string(body), ""), key, nil)
}

// OddKey has none of the characters that a message group id may not have.
func (h *harness) OddKey() string { return "order/7:{%#}~" }

// queue returns the URL of the queue of a group.
func (h *harness) queue(ctx context.Context, client *sqs.Client, topic, group string) (*string, error) {
	parts := []string{topic}
	if h.options.Mode != awssnssqs.ModeSQS {
		parts = append(parts, group)
	}
	name := awssnssqs.QueueName(!h.options.Standard, parts...)
	q, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return nil, err
	}
	return q.QueueUrl, nil
}

// Held returns what the queue of a group has lent and not seen deleted.
func (h *harness) Held(ctx context.Context, topic, group string) (int, error) {
	_, client := h.clients()
	q, err := h.queue(ctx, client, topic, group)
	if err != nil {
		return 0, err
	}
	const invisible = sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	a, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: q, AttributeNames: []sqstypes.QueueAttributeName{invisible},
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(a.Attributes[string(invisible)])
}

func (h *harness) Pause(context.Context) error { return h.server.Pause() }

func (h *harness) Resume(context.Context) error { return h.server.Resume() }

// expiring is a harness on a server that refuses what is told with a receipt whose message somebody
// else has received.
type expiring struct{ *harness }

func (e expiring) Expire(ctx context.Context, topic, group string) error {
	_, client := e.clients()
	q, err := e.queue(ctx, client, topic, group)
	if err != nil {
		return err
	}
	t := &thief{Client: client, q: e.of(*q), url: q, term: e.options.Visibility}
	return t.expire(ctx)
}

func suiteOptions(beside ...eventtest.Harness) *eventtest.Options {
	o := &eventtest.Options{Beside: beside}
	if brokertest.Long() {
		o.Rounds, o.CaseTimeout = 20, 10*time.Minute
	}
	return o
}

// queues is a harness in ModeSQS.
type queues struct{ expiring }

// OneGroup says that a queue has one group.
func (queues) OneGroup() {}

// elasticMQ is a harness that kills no server: an ElasticMQ loses what it has confirmed within the
// last second.
func elasticMQ(t *testing.T) queues {
	t.Helper()
	return queues{expiring{newHarness(brokertest.StartElasticMQ(t, nil), awssnssqs.ModeSQS)}}
}

var docs = filepath.Join("..", "..", "docs")

func TestElasticMQConforms(t *testing.T) {
	report := eventtest.TestAdapter(t, elasticMQ(t), suiteOptions(elasticMQ(t)))
	report.Adapter, report.Broker = "awssnssqs-sqs", "ElasticMQ "+brokertest.ElasticMQVersion
	committed.Check(t, docs, &report)
}

// localStack is slow: it hands what SNS gets to SQS late and in small portions, the later the more
// there is.
func localStack(t *testing.T) *harness {
	t.Helper()
	h := newHarness(brokertest.StartLocalStack(t, nil), awssnssqs.ModeSNS)
	h.options.RequestTimeout = 30 * time.Second
	h.pace.Patience, h.pace.Operation, h.pace.Parallel = 3*time.Minute, 3*time.Second, 3
	return h
}

// notOnLocalStack are the cases that its defects break, by the test that shows the defect without
// Leat. They run on ElasticMQ.
func notOnLocalStack() map[string]string {
	return map[string]string{"isolated-acks-sent-once": "TestLocalStackOldReceipts"}
}

// TestLocalStackConforms runs the suite on LocalStack, as committed.Conforms says. LocalStack takes
// many minutes for the whole.
func TestLocalStackConforms(t *testing.T) {
	committed.Conforms(t, localStack(t), &eventtest.Options{}, docs, "awssnssqs-sns",
		"LocalStack "+brokertest.LocalStackVersion, notOnLocalStack())
}

// TestConformsUnordered runs the suite on standard topics and queues.
func TestConformsUnordered(t *testing.T) {
	if !brokertest.Long() {
		t.Skip("it takes many minutes, and runs with LEAT_LONG; the stub has a short run")
	}
	t.Run("ElasticMQ", func(t *testing.T) {
		q := elasticMQ(t)
		q.options.Standard, q.options.FairQueues = true, true
		eventtest.TestAdapter(t, q, committed.Unordered(nil))
	})
	t.Run("LocalStack", func(t *testing.T) {
		h := localStack(t)
		h.options.Standard, h.options.FairQueues = true, true
		eventtest.TestAdapter(t, h, committed.Unordered(notOnLocalStack()))
	})
}

// stub is a harness on the stub, which keeps what it has over a kill.
type stub struct {
	expiring

	server *awsstub.Server
}

func (s stub) Kill(context.Context) error {
	s.server.Kill()
	return nil
}

func (s stub) Start(ctx context.Context) error { return s.server.Start(ctx) }

func startStub(t *testing.T) stub {
	t.Helper()
	server := awsstub.Start()
	t.Cleanup(server.Close)
	h := newHarness(server, awssnssqs.ModeSNS)
	h.options.Visibility, h.pace.Operation, h.pace.Parallel = stubVisibility, time.Second, 4
	return stub{expiring{h}, server}
}

// stubVisibility is how long a lease lasts on the stub.
const stubVisibility = 10 * time.Second

func TestStubConforms(t *testing.T) {
	report := eventtest.TestAdapter(t, startStub(t), suiteOptions(startStub(t), startStub(t)))
	report.Adapter, report.Broker = "awssnssqs-stub", "a stub that does as AWS documents"
	committed.Check(t, docs, &report)
}

// TestStubConformsUnordered runs cases on standard topics and queues, as AWS documents them.
func TestStubConformsUnordered(t *testing.T) {
	s := startStub(t)
	s.options.Standard, s.options.FairQueues = true, true
	eventtest.TestAdapter(t, s, committed.Unordered(nil))
}
