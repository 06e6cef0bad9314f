package rabbitmq_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestUnheard: nothing that a client sends reaches the broker any more, and all that the broker
// sends reaches the client, heartbeats included. The lease ends before the broker gives its
// messages to another client, by the client's own clock, whenever that happens within an idle time.
// When the broker can be reached again, so does the stream.
func TestUnheard(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	const beat = 2 * time.Second
	for name, idle := range map[string]time.Duration{"at once": 0, "idle": beat / 2, "idle for long": 11 * beat / 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testUnheard(t, n, beat, idle)
		})
	}
}

func testUnheard(t *testing.T, n *brokertest.RabbitMQNode, beat, idle time.Duration) {
	t.Helper()
	p := newProxy(t, n.Addr())
	o := liveOptions(n)
	o.RequestTimeout = time.Second
	other := liveBroker(t, o)
	o.Hosts, o.Heartbeat = []string{p.Addr()}, beat
	b, sub := liveBroker(t, o), liveSub(t)
	one := liveSubscribe(t, b, sub)
	livePublish(t, other, sub.Topic, liveEvents(t, 0, 1, 1)...)
	held := liveHold(t, one, 1)[0]
	ended := make(chan error, 1)
	held.Lease.Attach(func(release func()) { release() }, func(cause error) { ended <- cause })
	two := liveSubscribe(t, other, sub) // stands by
	select {                            // idle, with a lease that lasts
	case cause := <-ended:
		t.Fatalf("the lease of an idle stream ended: %v", cause)
	case <-time.After(idle):
	}
	p.Freeze(eventtest.ToBroker)
	began := time.Now()
	liveHold(t, two, 1)
	require.True(t, held.Lease.Ended(), "the event came to another client after %v, and its lease has not ended", time.Since(began))
	cause := <-ended
	byClock := errors.Is(cause, leat.ErrLeaseLost) || strings.Contains(cause.Error(), "the broker does not answer")
	require.True(t, byClock, "it did not end by the clock of the client: %v", cause)
	require.Error(t, one.Health())
	require.NoError(t, two.Close(t.Context()))
	p.Thaw()
	liveEventually(t, "the stream is well again", func() bool { return one.Health() == nil })
	liveHold(t, one, 1)
}
