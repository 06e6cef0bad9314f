package awssnssqs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	secretCanary = "zq7xjw-secret"
	tokenCanary  = "zq7xjw-token"
)

// keys are credentials whose secrets no text may have.
type keys string

func (k keys) Retrieve(context.Context) (aws.Credentials, error) {
	if k == "" {
		return aws.Credentials{}, errors.New("no EC2 IMDS role found")
	}
	return aws.Credentials{AccessKeyID: string(k), SecretAccessKey: secretCanary, SessionToken: tokenCanary}, nil
}

// site is a stub with all that is said about it.
type site struct {
	*account

	stub *awsstub.Server
	mu   sync.Mutex
	said bytes.Buffer // the log, and each error
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{stub: awsstub.Start()}
	t.Cleanup(s.stub.Close)
	s.account = accountOf(t, s.stub.URL())
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, secret := range []string{secretCanary, tokenCanary, awsstub.Account, "Signature=", "AWS4-HMAC", "Credential=", "RequestID"} {
			assert.NotContains(t, s.said.String(), secret)
		}
	})
	return s
}

// Write implements [io.Writer], for the log.
func (s *site) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(line)
}

func (s *site) options() awssnssqs.Options {
	return awssnssqs.Options{
		Endpoint: s.url, Config: &aws.Config{Region: awsstub.Region, Credentials: keys(awsstub.KeyID)},
		RequestTimeout: 3 * time.Second, DeliveryTimeout: 3 * time.Second, CloseTimeout: 2 * time.Second, Wait: time.Second,
		Visibility: 2 * time.Second, Pollers: 1,
		Logger: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func (s *site) open(change func(o *awssnssqs.Options)) *awssnssqs.Broker {
	s.Helper()
	o := s.options()
	if change != nil {
		change(&o)
	}
	b, err := awssnssqs.New(&o)
	require.NoError(s, err)
	s.Cleanup(func() { assert.NoError(s, b.Close()) })
	return b
}

// told checks an error: its code, and that it says each of the texts.
func (s *site) told(err error, want leat.Code, texts ...string) {
	s.Helper()
	require.Error(s, err)
	_, _ = s.Write([]byte(err.Error() + "\n"))
	assert.Equal(s, want, leat.CodeOf(err), "%v", err)
	for _, text := range texts {
		assert.ErrorContains(s, err, text)
	}
}

// tells waits until health says something.
func (s *site) tells(of leat.HealthReporter, want leat.Code, texts ...string) {
	s.Helper()
	var err error
	require.Eventually(s, func() bool {
		err = of.Health()
		return err != nil && leat.CodeOf(err) == want
	}, brokertest.Patience, 10*time.Millisecond, "health: %v", err)
	s.told(err, want, texts...)
}

var orders = leat.Subscription{Topic: "orders", Group: "billing"}

func (s *site) publish(b *awssnssqs.Broker, data []byte) error {
	s.Helper()
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{Source: "/shop"})
	require.NoError(s, err)
	return leat.NewProducer(b, nil).Publish(s.ctx, orders.Topic, e.WithData("application/octet-stream", data))
}

// receive subscribes, and receives in the background until the end of the test.
func (s *site) receive(b *awssnssqs.Broker) leat.HealthReporter {
	s.Helper()
	stream, err := b.Subscribe(s.ctx, orders)
	require.NoError(s, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		into := make([]leat.Delivery, 10)
		for ctx.Err() == nil {
			if n, err := stream.Receive(ctx, into); err == nil {
				for i := range n {
					stream.Settle(&into[i], leat.Settlement{Action: leat.Ack})
				}
			}
		}
	}()
	s.Cleanup(func() {
		cancel()
		<-done
		closing, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		if err := stream.Close(closing); err != nil {
			_, _ = s.Write([]byte(err.Error()))
		}
	})
	return stream.(leat.HealthReporter)
}

// TestMistakesOfTheConfiguration: each is told by the first call, with what to do.
func TestMistakesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	config := func(region, key string) func(*awssnssqs.Options) {
		return func(o *awssnssqs.Options) { o.Config = &aws.Config{Region: region, Credentials: keys(key)} }
	}
	endpoint := func(url string) func(*awssnssqs.Options) {
		return func(o *awssnssqs.Options) { o.Endpoint = url }
	}
	for made, c := range map[string]struct {
		change func(o *awssnssqs.Options)
		code   leat.Code
		text   string
	}{
		"another region":        {config("eu-west-1", awsstub.KeyID), leat.CodeUnauthenticated, "the region"},
		"an unknown access key": {config(awsstub.Region, "AKIDOTHER"), leat.CodeUnauthenticated, "correct the credentials"},
		"no credentials":        {config(awsstub.Region, ""), leat.CodeUnauthenticated, "no credentials"},
		"nobody listens":        {endpoint("http://127.0.0.1:1"), leat.CodeUnavailable, "connection refused"},
		"not AWS":               {endpoint(web.URL), leat.CodeUnavailable, "the endpoint"},
	} {
		t.Run(made, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			declares(t, s.open(nil), orders)
			b := s.open(c.change)
			s.told(b.Declare(t.Context(), orders), c.code, c.text)
			_, err := b.Subscribe(t.Context(), orders)
			s.told(err, c.code, c.text)
			s.told(s.publish(b, nil), c.code, c.text)
			_, err = b.Lag(t.Context(), orders.Topic, orders.Group)
			s.told(err, c.code, c.text)
		})
	}
}

// TestMistakeOfTheClock: AWS refuses signatures that are older than 5 minutes.
func TestMistakeOfTheClock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.open(nil)
	declares(t, b, orders)
	health := s.receive(b)
	s.stub.Skew(10 * time.Minute)
	s.told(s.open(nil).Declare(t.Context(), orders), leat.CodeUnauthenticated, "clock")
	s.told(s.publish(b, nil), leat.CodeUnauthenticated, "clock")
	s.tells(health, leat.CodeUnauthenticated, "clock")
}

// TestMissingPermissions: for each action, the call or health that needs it says which one it is.
func TestMissingPermissions(t *testing.T) {
	t.Parallel()
	verify := func(o *awssnssqs.Options) { o.Provision = awssnssqs.ProvisionVerify }
	off := func(o *awssnssqs.Options) { o.Provision = awssnssqs.ProvisionOff }
	declare := func(s *site, b *awssnssqs.Broker) error { return b.Declare(s.ctx, orders) }
	publish := func(s *site, b *awssnssqs.Broker) error { return s.publish(b, nil) }
	subscribe := func(s *site, b *awssnssqs.Broker) error {
		_, err := b.Subscribe(s.ctx, orders)
		return err
	}
	for action, c := range map[string]struct {
		change func(o *awssnssqs.Options)
		fresh  bool // nothing exists yet
		call   func(s *site, b *awssnssqs.Broker) error
	}{
		"ListTopics": {off, false, publish}, "PublishBatch": {nil, false, publish},
		"GetTopicAttributes": {nil, false, declare}, "CreateTopic": {nil, true, declare},
		"GetQueueUrl": {nil, false, declare}, "CreateQueue": {nil, true, declare},
		"GetQueueAttributes": {off, false, subscribe}, "ListQueueTags": {nil, false, declare},
		"Subscribe": {nil, true, declare}, "GetSubscriptionAttributes": {nil, false, declare},
		"ListSubscriptionsByTopic": {verify, false, declare},
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if !c.fresh {
				declares(t, s.open(nil), orders)
			}
			s.stub.Break(awsstub.Fault{Action: action, Code: "AccessDenied"})
			s.told(c.call(s, s.open(c.change)), leat.CodePermissionDenied, action, "docs/awssnssqs.md lists the permissions")
		})
	}
	for action, code := range map[string]string{"TagQueue": "AccessDenied", "SetQueueAttributes": "AccessDenied"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.createQueue("orders-billing.fifo", map[string]string{"FifoQueue": "true"}) // by somebody else
			s.stub.Break(awsstub.Fault{Action: action, Code: code})
			s.told(s.open(nil).Declare(t.Context(), orders), leat.CodePermissionDenied, action)
		})
	}
	t.Run("SendMessageBatch", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		b := s.open(func(o *awssnssqs.Options) { o.Mode = awssnssqs.ModeSQS })
		declares(t, b, orders)
		s.stub.Break(awsstub.Fault{Action: "SendMessageBatch", Code: "AccessDenied"})
		s.told(s.publish(b, nil), leat.CodePermissionDenied, "SendMessageBatch", "docs/awssnssqs.md lists the permissions")
	})
	t.Run("ChangeMessageVisibilityBatch", func(t *testing.T) { // of what is held for long
		t.Parallel()
		s := newSite(t)
		b := s.open(nil)
		declares(t, b, orders)
		require.NoError(t, s.publish(b, nil))
		s.stub.Break(awsstub.Fault{Action: "ChangeMessageVisibilityBatch", Code: "AccessDenied"})
		stream, err := b.Subscribe(t.Context(), orders)
		require.NoError(t, err)
		_, err = stream.Receive(t.Context(), make([]leat.Delivery, 1))
		require.NoError(t, err)
		reporter, ok := stream.(leat.HealthReporter)
		require.True(t, ok)
		s.tells(reporter, leat.CodePermissionDenied, "ChangeMessageVisibilityBatch", "docs/awssnssqs.md lists the permissions")
	})
	for _, action := range []string{"ReceiveMessage", "DeleteMessageBatch"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := s.open(nil)
			declares(t, b, orders)
			s.stub.Break(awsstub.Fault{Action: action, Code: "AccessDenied"})
			require.NoError(t, s.publish(b, nil))
			s.tells(s.receive(b), leat.CodePermissionDenied, action)
		})
	}
}

// TestEncryptionThatFails: errors of KMS say that they are.
func TestEncryptionThatFails(t *testing.T) {
	t.Parallel()
	for kms, code := range map[string]leat.Code{
		"KMSAccessDenied": leat.CodePermissionDenied, "KMSDisabled": leat.CodeUnavailable, "KMSThrottling": leat.CodeExhausted,
	} {
		s := newSite(t)
		b := s.open(nil)
		declares(t, b, orders)
		s.stub.Break(awsstub.Fault{Action: "PublishBatch", Code: kms})
		s.told(s.publish(b, nil), code, kms)
	}
}

// TestKindsAndPolicies: what exists and cannot be used is told with what to change.
func TestKindsAndPolicies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url := s.createQueue("standard", nil)
	b := s.open(func(o *awssnssqs.Options) {
		o.Queues = map[awssnssqs.Group]string{{Topic: orders.Topic, Group: orders.Group}: url}
	})
	s.told(b.Declare(t.Context(), orders), leat.CodeUnsupported, "set Subscription.Unordered")
	_, err := b.Subscribe(t.Context(), orders)
	s.told(err, leat.CodeUnsupported, "set Subscription.Unordered")

	declares(t, s.open(nil), orders)
	url, _ = s.queue("orders-billing.fifo")
	s.set(url, "Policy", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"sqs:SendMessage","Resource":"*"}]}`)
	s.told(s.open(nil).Declare(t.Context(), orders), leat.CodeConflict, "denies sns.amazonaws.com", "remove that statement")

	off := s.open(func(o *awssnssqs.Options) { o.Provision = awssnssqs.ProvisionOff })
	_, err = off.Subscribe(t.Context(), leat.Subscription{Topic: "other", Group: "g"})
	s.told(err, leat.CodeNotFound, `the queue "other-g.fifo"`, "provision=create")
	e, err := leat.NewEvent("t", nil)
	require.NoError(t, err)
	s.told(leat.NewProducer(off, nil).Publish(t.Context(), "other", e.WithSource("/s")), leat.CodeNotFound)
}

// TestDeletedQueue: health says so while it is gone, and the stream goes on when it is there again.
func TestDeletedQueue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.open(nil)
	declares(t, b, orders)
	health := s.receive(b)
	url, _ := s.queue("orders-billing.fifo")
	_, err := s.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url})
	require.NoError(t, err)
	s.tells(health, leat.CodeNotFound)
	s.told(b.Declare(t.Context(), orders), leat.CodeConflict, "60 seconds")
	s.stub.Advance(time.Minute)
	declares(t, b, orders)
	require.Eventually(t, func() bool { return health.Health() == nil }, brokertest.Patience, 10*time.Millisecond)
}

// TestSizesAndCharacters: what does not fit is refused before it is sent, and every byte that fits
// arrives.
func TestSizesAndCharacters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, o := range []awssnssqs.Options{{}, {Mode: awssnssqs.ModeSQS}} {
		b := s.open(func(all *awssnssqs.Options) { all.Mode = o.Mode })
		declares(t, b, orders)
		before := s.stub.Calls()
		s.told(s.publish(b, make([]byte, 1<<20+1)), leat.CodeTooLarge)
		assert.Equal(t, before["PublishBatch"], s.stub.Calls()["PublishBatch"])
		require.NoError(t, s.publish(b, []byte("\x00\x0b\x1f\x7f\ufffe\uffff\xff")))
		require.NoError(t, s.publish(b, make([]byte, b.Limits().MaxEventBytes-10<<10)))
	}
}

// TestLargestEvent: an event of as many bytes as Limits says is taken, and of one more it is not.
// With a limit of 1 MiB these are two messages, and an event of 1 MiB is refused.
func TestLargestEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for mode := range 2 {
		b := s.open(func(o *awssnssqs.Options) { o.Mode, o.MaxMessageBytes = awssnssqs.Mode(mode), 1<<20 })
		sub := leat.Subscription{Topic: fmt.Sprint("large-", mode), Group: "g"}
		require.NoError(t, b.Declare(t.Context(), sub))
		of := func(size int) error {
			e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s"})
			require.NoError(t, err)
			e = e.WithData("application/octet-stream", nil)
			e = e.WithData("application/octet-stream", make([]byte, size-e.Size()))
			require.Equal(t, size, e.Size())
			outcome := make(chan error, 1)
			b.Publish(t.Context(), sub.Topic, []leat.Event{e}, func(_ int, err error) { outcome <- err })
			return <-outcome
		}
		require.NoError(t, of(b.Limits().MaxEventBytes))
		s.told(of(b.Limits().MaxEventBytes+1), leat.CodeTooLarge)
		s.told(of(1<<20), leat.CodeTooLarge)
		s.told(of(1<<20+1), leat.CodeTooLarge)
	}
}

// TestTooLargeForItsTarget: a topic or a queue of others may take less than MaxMessageBytes. AWS
// says that in the text of an error about parameters only.
func TestTooLargeForItsTarget(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.createTopic("small.fifo", map[string]string{"FifoTopic": "true", "MaximumMessageSize": "2048"})
	topics := map[awssnssqs.Mode]string{
		awssnssqs.ModePublish: arnOf("sns", "small.fifo"),
		awssnssqs.ModeSQS:     s.createQueue("small.fifo", map[string]string{"FifoQueue": "true", "MaximumMessageSize": "2048"}),
	}
	for mode, id := range topics {
		b := s.open(func(o *awssnssqs.Options) { o.Mode, o.Topics = mode, map[string]string{orders.Topic: id} })
		s.told(s.publish(b, make([]byte, 4096)), leat.CodeTooLarge)
		require.NoError(t, s.publish(b, nil))
	}
}

// TestPoliciesByRole: what publishers, consumers and provisioners of the page may do is what the
// stub is asked for.
func TestPoliciesByRole(t *testing.T) {
	t.Parallel()
	s, allowed := newSite(t), policies(t)
	var asked map[string]int
	role := func(name string) {
		called := map[string]bool{}
		for action, n := range s.stub.Calls() {
			if n > asked[action] {
				called[serviceOf(action)+":"+strings.TrimSuffix(action, "Batch")] = true
			}
		}
		asked = s.stub.Calls()
		assert.ElementsMatch(t, allowed[name], slices.Collect(maps.Keys(called)), name)
	}
	// Whatever a provisioner may have to do: a queue that exists, one that does not, a topic of
	// others.
	s.createQueue("orders-theirs.fifo", map[string]string{"FifoQueue": "true"})
	asked = s.stub.Calls()
	require.NoError(t, s.open(nil).Declare(t.Context(), orders, leat.Subscription{Topic: "orders", Group: "theirs"}))
	require.NoError(t, s.open(func(o *awssnssqs.Options) { o.Provision = awssnssqs.ProvisionVerify }).Declare(t.Context(), orders))
	role("Provisioner")
	off := func(o *awssnssqs.Options) { o.Provision = awssnssqs.ProvisionOff }
	for range 2 {
		require.NoError(t, s.publish(s.open(off), nil))
	}
	role("Publisher")
	b := s.open(off)
	stream, err := b.Subscribe(t.Context(), orders)
	require.NoError(t, err)
	into := make([]leat.Delivery, 1)
	n, err := stream.Receive(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	stream.Settle(&into[0], leat.Settlement{Action: leat.GiveBack})
	n, err = stream.Receive(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	stream.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	_, err = stream.Receive(t.Context(), into)
	require.NoError(t, err)
	require.NoError(t, stream.Close(t.Context())) // gives back
	role("Consumer")
}

func serviceOf(action string) string {
	switch action {
	case "CreateTopic", "ListTopics", "GetTopicAttributes", "Subscribe", "ListSubscriptionsByTopic", "GetSubscriptionAttributes",
		"PublishBatch":
		return "sns"
	}
	return "sqs"
}
