package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testCancelledConsumer: when the broker cancels the consumer, what is finished is acknowledged all
// the same, and only the rest comes again.
func testCancelledConsumer(t *testing.T, n *brokertest.RabbitMQNode) {
	p := newProxy(t, n.Addr())
	o := liveOptions(n)
	sub := liveSub(t)
	plain := liveBroker(t, o)
	require.NoError(t, leat.Declare(t.Context(), plain, sub))
	livePublish(t, plain, sub.Topic, liveEvents(t, 0, 400, 1)...)
	o.Hosts = []string{p.Addr()}
	s := liveSubscribe(t, liveBroker(t, o), sub)
	held := liveHold(t, s, 400)
	var open []string
	for i := range held { // from the last: each waits behind an unfinished one
		d := &held[len(held)-1-i]
		if i%2 == 0 {
			s.Settle(d, leat.Settlement{Action: leat.Ack})
		} else {
			open = append(open, d.Event.ID())
		}
	}
	p.Send(eventtest.ToClient, []byte(frameCancel))
	liveEventually(t, "the lease has ended", func() bool { return held[0].Lease.Ended() })
	var again []string
	for _, d := range liveHold(t, s, len(open)) {
		again = append(again, d.Event.ID())
	}
	for i, id := range again {
		assert.Equal(t, open[len(open)-1-i], id)
	}
	require.NoError(t, s.Close(context.Background()))
}
