package rabbitmq_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testQuiesceUnordered: a quiet stream without order gets nothing more from the broker. What it had
// is acknowledged and given back as before.
func testQuiesceUnordered(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	sub.Unordered = true
	one := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 20, 0)...)
	held := liveHold(t, one, 20)
	one.Quiesce()
	queue := sub.Topic + "." + sub.Group
	liveEventually(t, "the consumer is cancelled", func() bool {
		all, err := n.Eval(t.Context(), fmt.Sprintf( // the queue's own count has cancelled ones with messages, too
			"{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<%q>>)), "+
				"io:format(\"~p\", [length(rabbit_amqqueue:consumers(Q))])", queue))
		return err == nil && strings.TrimSpace(all) == "0"
	})
	two := liveSubscribe(t, b, sub)
	more := liveEvents(t, 20, 80, 0)
	livePublish(t, b, sub.Topic, more...)
	assert.ElementsMatch(t, ids(more), liveReceive(t, two, len(more)), "the quiet stream took some")
	assert.False(t, held[0].Lease.Ended(), "the lease goes on")
	for i := range held {
		action := leat.Ack
		if i%2 == 1 {
			action = leat.GiveBack
		}
		one.Settle(&held[i], leat.Settlement{Action: action})
	}
	require.NoError(t, one.Close(context.Background()))
	var want []string
	for i := 1; i < 20; i += 2 {
		want = append(want, fmt.Sprint(i))
	}
	got := liveHold(t, two, len(want))
	for i := range got {
		assert.Contains(t, want, got[i].Event.ID())
		assert.Equal(t, 2, got[i].Deliveries)
	}
	liveNothing(t, two, 100*time.Millisecond)
}

// testQuiesceLost: a quiet stream that loses its channel does not come back for more, neither as
// the active consumer nor to stand by.
func testQuiesceLost(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.ClientID = liveName(t)
	sub := liveSub(t)
	one := liveSubscribe(t, liveBroker(t, o), sub)
	b := liveBroker(t, liveOptions(n))
	events := liveEvents(t, 0, 10, 1)
	livePublish(t, b, sub.Topic, events...)
	held := liveHold(t, one, 6)
	for i := range held[:3] {
		one.Settle(&held[i], leat.Settlement{Action: leat.Ack})
	}
	queue := sub.Topic + "." + sub.Group
	liveEventually(t, "three are acknowledged", func() bool {
		q, err := n.Queue(t.Context(), "/", queue)
		return err == nil && q.Ready+q.Unacked == 7
	})
	one.Quiesce()
	_, err := n.CloseConnections(t.Context(), func(c brokertest.RabbitMQConnection) bool { return strings.HasPrefix(c.Name, o.ClientID+" ") })
	require.NoError(t, err)
	liveEventually(t, "the lease is lost", held[0].Lease.Ended)
	consumers := func() int {
		q, err := n.Queue(context.Background(), "/", queue)
		if err != nil {
			return -1
		}
		return q.Consumers
	}
	liveEventually(t, "the broker has seen the end of the connection", func() bool { return consumers() == 0 })
	require.Never(t, func() bool { return consumers() > 0 }, 2*time.Second, 100*time.Millisecond, "the quiet stream consumes again")
	two := liveSubscribe(t, b, sub)
	assert.Equal(t, ids(slices.Clone(events[3:])), liveReceive(t, two, 7))
	require.NoError(t, one.Close(context.Background()))
}
