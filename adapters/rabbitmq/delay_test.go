package rabbitmq_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testDelayQueue: an event without a key that is given back for long waits in a queue of its own,
// where it takes up no room, and comes again with its count.
func testDelayQueue(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	sub.MaxInFlight = 1
	s := liveSubscribe(t, b, sub)
	rabbitmq.QueueDelays(s, 100*time.Millisecond)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 0)...)
	d := liveHold(t, s, 1)
	for round := 1; round <= 2; round++ {
		assert.Equal(t, round, d[0].Deliveries)
		due := time.Now().Add(time.Second)
		s.Settle(&d[0], leat.Settlement{Action: leat.GiveBack, Delay: time.Second})
		livePublish(t, b, sub.Topic, liveEvents(t, 10*round, 10*round+1, 1)...)
		other := liveReceive(t, s, 1)
		assert.Equal(t, []string{fmt.Sprint(10 * round)}, other, "there is room for another")
		d = liveHold(t, s, 1)
		assert.Equal(t, "0", d[0].Event.ID())
		assert.False(t, time.Now().Before(due), "it came before its delay was over")
	}
	s.Settle(&d[0], leat.Settlement{Action: leat.Ack})
	liveNothing(t, s, 300*time.Millisecond)
	require.NoError(t, b.Health())
}

// testNoDelayQueue: where the queue cannot be had, the event waits in the client.
func testNoDelayQueue(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), liveBroker(t, liveOptions(n)), sub))
	o := liveOptions(n)
	o.Provision = rabbitmq.ProvisionOff
	b := liveBroker(t, o)
	s := liveSubscribe(t, b, sub)
	rabbitmq.QueueDelays(s, 100*time.Millisecond)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 3, 0)...)
	began := time.Now()
	for _, d := range liveHold(t, s, 3) {
		s.Settle(&d, leat.Settlement{Action: leat.GiveBack, Delay: 200 * time.Millisecond})
	}
	assert.Len(t, liveReceive(t, s, 3), 3)
	assert.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
	liveNothing(t, s, 300*time.Millisecond)
}

// testNativeReject: what is rejected goes to the dead-letter queue, and nothing else.
func testNativeReject(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 100, 7)...)
	for i, d := range liveHold(t, s, 100) {
		action := leat.Ack
		if i%2 == 1 {
			action = leat.NativeReject
		}
		s.Settle(&d, leat.Settlement{Action: action})
	}
	require.NoError(t, s.Close(t.Context()))
	liveEventually(t, "half of them are in the dead-letter queue", func() bool {
		q, err := n.Queue(t.Context(), "/", sub.Topic+".g:dead")
		return err == nil && q.Ready == 50
	})
	q, err := n.Queue(t.Context(), "/", sub.Topic+".g")
	require.NoError(t, err)
	assert.Zero(t, q.Ready+q.Unacked)
}

// testBroadcastRecycled: a broadcast keeps its queue when its channel is recycled.
func testBroadcastRecycled(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.RecycleAfter = time.Second
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: liveName(t), Broadcast: true}
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 3, 1)...)
	held := liveHold(t, s, 3)
	held[0].Lease.Attach(func(release func()) { release() }, func(error) {})
	for i, first := 0, 3; !held[0].Lease.Ended(); i++ {
		livePublish(t, b, sub.Topic, liveEvents(t, first+i, first+i+1, 1)...)
	}
	again := liveHold(t, s, 10)
	for i := range again {
		assert.Equal(t, again[0].Lease, again[i].Lease)
	}
	assert.Equal(t, "0", again[0].Event.ID())
}
