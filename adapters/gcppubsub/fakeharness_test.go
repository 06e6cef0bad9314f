package gcppubsub_test

import (
	"context"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
)

var (
	_ eventtest.Killer  = fakeHarness{}
	_ eventtest.Pauser  = fakeHarness{}
	_ eventtest.Expirer = fakeHarness{}
	_ eventtest.Holder  = fakeHarness{}
)

// fakeHarness is a harness on the fake, whose groups have exactly-once delivery: by it Pub/Sub says
// that a lease was lost.
type fakeHarness struct {
	*harness

	fake  *fake
	front *eventtest.Proxy // of all clients
}

// reachable is the fake where its clients reach it.
type reachable struct {
	*fake

	addr string
}

func (r reachable) Addr() string { return r.addr }

func newFakeHarness(t *testing.T) fakeHarness {
	t.Helper()
	f := startFake(t)
	front, err := eventtest.StartProxy(f.Addr())
	require.NoError(t, err)
	t.Cleanup(front.Close)
	h := newHarness(reachable{f, front.Addr()})
	h.options.ExactlyOnce = true
	h.options.ClientOptions = []option.ClientOption{option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(f.watch))}
	return fakeHarness{h, f, front}
}

// Kill makes the server unreachable. It keeps what it has, and what it had sent is lost.
func (h fakeHarness) Kill(context.Context) error {
	h.front.Refuse()
	h.front.Reset()
	return nil
}

func (h fakeHarness) Start(context.Context) error {
	h.front.Admit()
	return nil
}

func (h fakeHarness) Pause(context.Context) error {
	h.front.Freeze()
	return nil
}

func (h fakeHarness) Resume(context.Context) error {
	h.front.Thaw()
	return nil
}

func subscriptionOf(topic, group string) string {
	return "projects/" + project + "/subscriptions/" + gcppubsub.SubscriptionName(topic, group)
}

func (h fakeHarness) Expire(ctx context.Context, topic, group string) error {
	return h.fake.Expire(ctx, subscriptionOf(topic, group))
}

// Held returns what the streams of a group have.
func (h fakeHarness) Held(_ context.Context, topic, group string) (int, error) {
	return h.fake.loans.count(subscriptionOf(topic, group), nil), nil
}

// TestFakeConforms runs the suite on pstest, as committed.Conforms says.
func TestFakeConforms(t *testing.T) {
	h := newFakeHarness(t)
	// A key has one message at a time, and a case publishes thousands.
	h.pace.OfKey, h.pace.Patience = 1, 2*time.Minute
	committed.Conforms(t, h, &eventtest.Options{}, docs, "gcppubsub-pstest", "pstest of Google's client, in the process", nil)
}

// TestFakeUnorderedConforms runs the suite on Unordered subscriptions of pstest, as
// committed.Conforms says. They have a dead-letter topic, since Pub/Sub counts deliveries only
// then.
func TestFakeUnorderedConforms(t *testing.T) {
	h := newFakeHarness(t)
	h.options.DeadLetterTopic = "dead"
	_, err := h.fake.GServer.CreateTopic(t.Context(), &pb.Topic{Name: "projects/" + project + "/topics/dead"})
	require.NoError(t, err)
	committed.Conforms(t, h, &eventtest.Options{Unordered: true}, docs, "gcppubsub-unordered",
		"pstest, Unordered with a dead-letter topic", nil)
}
