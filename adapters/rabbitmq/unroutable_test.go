package rabbitmq_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testUnroutableKept: what is published before any group is declared is kept for the first one, in
// order and with all that the message has.
func testUnroutableKept(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.Unroutable, o.KeyFrom = rabbitmq.UnroutableKeep, "routing_key"
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: sub.Topic}), "the topic alone")
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1_200, 1)...)
	livePublish(t, b, sub.Topic, liveEvents(t, 1_200, 1_201, 0)...) // one without a key

	require.NoError(t, b.Declare(t.Context(), sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 1_201, 1_300, 1)...)
	s := liveSubscribe(t, b, sub)
	var all []string
	for i := range 1_300 {
		all = append(all, fmt.Sprint(i))
	}
	var got []string
	for len(got) < len(all) {
		for _, d := range liveHold(t, s, 1) {
			assert.Equal(t, 1, d.Deliveries)
			if d.Event.ID() == "1200" {
				assert.Equal(t, d.Event.Type(), d.Key, "the routing key is kept")
			}
			got = append(got, d.Event.ID())
			s.Settle(&d, leat.Settlement{Action: leat.Ack})
		}
	}
	assert.True(t, slices.Equal(all, got), "out of order, from %v on", firstDifference(all, got))

	second := sub
	second.Group = "h"
	liveNothing(t, liveSubscribe(t, b, second), 0)
	require.NoError(t, b.Health())

	ch := liveChannel(t, liveRaw(t, n.URL()))
	require.Error(t, ch.ExchangeDeclarePassive(sub.Topic+".g:adopt", amqp.ExchangeFanout, false, false, false, false, nil),
		"what moved them is gone")
}

// testUnroutableKeptWhilePublishing: nothing is lost when groups are declared by several processes
// while events are published.
func testUnroutableKeptWhilePublishing(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.Unroutable = rabbitmq.UnroutableKeep
	b, sub := liveBroker(t, o), liveSub(t)
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: sub.Topic}))
	const total = 3_000
	var confirmed atomic.Int64
	published := make(chan struct{})
	t.Cleanup(func() { <-published })
	go func() {
		defer close(published)
		for i, e := range liveEvents(t, 0, total, 0) {
			if liveOutcomes(t.Context(), b, sub.Topic, e)[0] == nil {
				confirmed.Add(1)
			} else {
				t.Errorf("event %d was not confirmed", i)
			}
		}
	}()
	liveEventually(t, "events are kept", func() bool { return confirmed.Load() > 700 })
	declared := make(chan error, 3)
	for range 3 {
		other := liveBroker(t, o)
		go func() { declared <- other.Declare(t.Context(), sub) }()
	}
	for range 3 {
		require.NoError(t, <-declared)
	}
	<-published
	seen := map[string]bool{}
	s := liveSubscribe(t, b, sub)
	for len(seen) < total {
		for _, d := range liveHold(t, s, 1) {
			seen[d.Event.ID()] = true
			s.Settle(&d, leat.Settlement{Action: leat.Ack})
		}
	}
}

// testUnroutableNacked: what the group's queue does not take stays where it is kept. Declare tries
// for a moment, since a queue that was just declared may take nothing yet.
func testUnroutableNacked(t *testing.T, n *brokertest.RabbitMQNode) {
	o, sub := liveOptions(n), liveSub(t)
	o.Unroutable = rabbitmq.UnroutableKeep
	b := liveBroker(t, o)
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: sub.Topic}))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 30, 1)...)
	full := o
	full.QueueType = rabbitmq.QueueClassic
	full.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) {
		q.Arguments[amqp.QueueMaxLenArg], q.Arguments[amqp.QueueOverflowArg] = 10, amqp.QueueOverflowRejectPublish
	}
	begun := time.Now()
	err := liveBroker(t, full).Declare(t.Context(), sub)
	require.Equal(t, leat.CodeUnknown, leat.CodeOf(err), err)
	require.ErrorContains(t, err, "nack")
	require.Greater(t, time.Since(begun), 500*time.Millisecond, "it was tried again")
	ch := liveChannel(t, liveRaw(t, n.URL()))
	_, err = ch.QueueDelete(sub.Topic+".g", false, false, false)
	require.NoError(t, err)
	require.NoError(t, b.Declare(t.Context(), sub))
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprint(i))
	}
	require.Equal(t, all, liveReceive(t, liveSubscribe(t, b, sub), 30))
}

// testUnroutableReplicas: two processes of the first group start at once. None of them lets newer
// events in before all that was kept is moved.
func testUnroutableReplicas(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.Unroutable = rabbitmq.UnroutableKeep
	b, sub := liveBroker(t, o), liveSub(t)
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: sub.Topic}))
	const kept, replicas = 2_000, 2
	livePublish(t, b, sub.Topic, liveEvents(t, 0, kept, 1)...)
	declared := make(chan error, replicas)
	for range replicas {
		replica := liveBroker(t, o)
		go func() { declared <- replica.Declare(t.Context(), sub) }()
	}
	require.NoError(t, <-declared, "the first one that is ready")
	livePublish(t, b, sub.Topic, liveEvents(t, kept, kept+10, 1)...)
	require.NoError(t, <-declared)
	s := liveSubscribe(t, b, sub)
	for i := range kept + 10 {
		for _, d := range liveHold(t, s, 1) {
			require.Equal(t, fmt.Sprint(i), d.Event.ID(), "in order")
			s.Settle(&d, leat.Settlement{Action: leat.Ack})
		}
	}
}

// testUnroutableConflict: an exchange that was created without an alternate one is named, with what
// to do.
func testUnroutableConflict(t *testing.T, n *brokertest.RabbitMQNode) {
	o, sub := liveOptions(n), liveSub(t)
	require.NoError(t, liveBroker(t, o).Declare(t.Context(), sub))
	o.Unroutable = rabbitmq.UnroutableKeep
	err := liveBroker(t, o).Declare(t.Context(), sub)
	require.Equal(t, leat.CodeConflict, leat.CodeOf(err), err)
	require.ErrorContains(t, err, "the argument alternate-exchange of the exchange")
}

// firstDifference returns where two lists of one length differ first.
func firstDifference(a, b []string) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
