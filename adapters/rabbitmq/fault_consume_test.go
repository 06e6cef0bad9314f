package rabbitmq_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testParkedHead: an event that is not finished for longer than the broker's consumer_timeout does
// not hold up the others, and the broker never has a reason to close the channel.
func testParkedHead(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.RecycleAfter = time.Second
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	var others, attempts atomic.Int64
	release := time.Now().Add(6 * time.Second)
	done := make(chan struct{})
	consumer := leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		if e.ID() != "0" {
			others.Add(1)
			return nil
		}
		attempts.Add(1)
		if time.Now().Before(release) {
			return leat.RetryAfter(time.Until(release), errNotYet)
		}
		close(done)
		return nil
	}), &leat.ConsumerOptions{MaxInFlight: 100, Middleware: []leat.Middleware{middleware.Retry(nil)}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, consumer) }()
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	liveEventually(t, "the head is parked", func() bool { return attempts.Load() > 0 })
	published := int64(0)
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		default:
			livePublish(t, b, sub.Topic, liveEvents(t, 1, 51, 0)...)
			published += 50
			liveEventually(t, "the others are handled", func() bool { return others.Load() >= published })
		}
	}
	assert.Equal(t, published, others.Load(), "nothing was handled twice")
	require.NoError(t, health(b))
	cancel()
	require.NoError(t, <-ended)
}

var errNotYet = fmt.Errorf("not yet")

// testOverrun: a handler that outlasts its channel loses the lease, and health says so.
func testOverrun(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.RecycleAfter = time.Second
	b := liveBroker(t, o)
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 3, 1)...)
	held := liveHold(t, s, 3)
	causes := make(chan error, 1)
	held[0].Lease.Attach(func(func()) {}, func(cause error) { causes <- cause })
	require.Error(t, <-causes)
	s.Settle(&held[0], leat.Settlement{Action: leat.Ack})
	assert.Equal(t, leat.CodeHandler, leat.CodeOf(s.Health()))
	again := liveHold(t, s, 3)
	assert.Equal(t, 2, again[0].Deliveries)
	for i := range again {
		assert.Equal(t, fmt.Sprint(i), again[i].Event.ID())
		s.Settle(&again[i], leat.Settlement{Action: leat.Ack})
	}
}

// testLargeMessages: messages that are much larger than others are delivered within the limits, and
// so is what the client holds of them.
func testLargeMessages(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	sub.MaxInFlight, sub.MaxInFlightBytes = 100, 1<<20
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	events := liveEvents(t, 0, 80, 1)
	for i := range events {
		events[i] = events[i].WithData("application/octet-stream", make([]byte, 200<<10))
	}
	livePublish(t, b, sub.Topic, events...)
	s := liveSubscribe(t, b, sub)
	liveEventually(t, "the messages are here", func() bool { return rabbitmq.Held(s) > 2<<20 })
	var got []string
	into := make([]leat.Delivery, 30)
	for len(got) < len(events) {
		require.LessOrEqual(t, rabbitmq.Held(s), 3<<20)
		k, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.LessOrEqual(t, k, 5)
		for i := range into[:k] {
			got = append(got, into[i].Event.ID())
			s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
		}
	}
	assert.Equal(t, ids(events), got)
	assert.LessOrEqual(t, rabbitmq.Prefetch(s), 5)
}

// testSmallMessagesAgain: a burst of large messages does not make the prefetch small for ever.
func testSmallMessagesAgain(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.RecycleAfter = time.Second
	b := liveBroker(t, o)
	sub := liveSub(t)
	sub.MaxInFlight, sub.MaxInFlightBytes = 100, 1<<20
	s := liveSubscribe(t, b, sub)
	events := liveEvents(t, 0, 20, 0)
	for i := range events {
		events[i] = events[i].WithData("application/octet-stream", make([]byte, 200<<10))
	}
	livePublish(t, b, sub.Topic, events...)
	liveEventually(t, "the prefetch is small", func() bool { return rabbitmq.Prefetch(s) <= 5 })
	ctx, cancel := context.WithCancel(t.Context())
	received := make(chan struct{})
	go func() {
		defer close(received)
		into := make([]leat.Delivery, 10)
		for {
			n, err := s.Receive(ctx, into)
			if err != nil {
				return
			}
			for i := range into[:n] {
				s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
		}
	}()
	liveEventually(t, "the prefetch is what it was", func() bool { return rabbitmq.Prefetch(s) == 100 })
	cancel()
	<-received
}

// testGivenBackOften: what the stream delivers again by itself, however often, is one delivery of
// the broker (R8).
func testGivenBackOften(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	for range 600 {
		d := liveHold(t, s, 1)[0]
		require.Equal(t, 1, d.Deliveries)
		s.Settle(&d, leat.Settlement{Action: leat.GiveBack})
	}
}
