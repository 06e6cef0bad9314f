package eventtest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// TestSuspectsUnderChaos: the crashes of a service, its lost leases and its outages make suspects
// of healthy events. All of them are handled: a schedule has too few faults to end two runs of one
// event while it runs alone.
func TestSuspectsUnderChaos(t *testing.T) {
	var suspects atomic.Bool
	eventtest.Explore(t, 300, func(x *eventtest.Exploration) {
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"},
				leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
					if info, _ := leat.InfoFrom(ctx); info.Deliveries > 1 {
						suspects.Store(true)
					}
					x.Effect(ctx, e, "charge")
					return nil
				}), &leat.ConsumerOptions{MaxDeliveries: 1}))
		})
		publishOrders(t, x, 10)
		x.NoLoss()
		x.OrderPerKey("charge")
		x.NothingPoisoned(func(leat.Event) bool { return false })
	})
	assert.True(t, suspects.Load(), "no schedule made a suspect")
}
