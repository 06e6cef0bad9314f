package leat_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// declares notes what is declared on the broker in memory.
type declares struct {
	*memory.Broker

	mu  sync.Mutex
	all []leat.Subscription
}

func (d *declares) Declare(ctx context.Context, subs ...leat.Subscription) error {
	d.mu.Lock()
	for _, sub := range subs {
		d.all = append(d.all, leat.Subscription{Topic: sub.Topic, Group: sub.Group, Unordered: sub.Unordered})
	}
	d.mu.Unlock()
	return d.Broker.Declare(ctx, subs...)
}

// Run declares the group that reads a poison queue as ReplayOf returns it. One that is shared keeps
// order where one of its consumers has order, whatever their sequence.
func TestRunDeclaresWhatReadsThePoisonQueue(t *testing.T) {
	ordered := leat.Subscription{Topic: "orders", Group: "billing"}
	unordered := leat.Subscription{Topic: "orders", Group: "stock", Unordered: true}
	assert.Equal(t, leat.Subscription{Topic: "orders.billing.poison", Group: "replay"}, leat.ReplayOf(ordered))
	assert.Equal(t, leat.Subscription{Topic: "orders.stock.poison", Group: "replay", Unordered: true}, leat.ReplayOf(unordered))

	own := &middleware.PoisonOptions{Shared: true, Topic: func(string, string) string { return "dead" }}
	dead := func(u bool) leat.Subscription { return leat.Subscription{Topic: "dead", Group: "replay", Unordered: u} }
	for name, c := range map[string]struct {
		subs []leat.Subscription
		o    *middleware.PoisonOptions
		want []leat.Subscription
	}{
		"one each": {
			[]leat.Subscription{ordered, unordered}, nil, []leat.Subscription{leat.ReplayOf(ordered), leat.ReplayOf(unordered)},
		},
		"shared, one order": {[]leat.Subscription{unordered, ordered}, own, []leat.Subscription{dead(false), dead(false)}},
		"shared, other way": {[]leat.Subscription{ordered, unordered}, own, []leat.Subscription{dead(false), dead(false)}},
		"shared, none":      {[]leat.Subscription{unordered}, own, []leat.Subscription{dead(true)}},
		"broadcast in order": {
			[]leat.Subscription{{Topic: "orders", Broadcast: true}}, nil, []leat.Subscription{{Topic: "orders.poison-broadcast", Group: "replay"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &declares{Broker: memory.New(nil)}
				queue := middleware.PoisonQueue(leat.NewProducer(d, nil), c.o)
				var consumers []*leat.Consumer
				for _, sub := range c.subs {
					consumers = append(consumers, leat.NewConsumer(d, sub, &recorder{}, &leat.ConsumerOptions{PoisonQueue: queue}))
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- leat.Run(ctx, consumers...) }()
				synctest.Wait()
				stop()
				require.NoError(t, <-ended)
				require.NoError(t, d.Close())
				got := slices.DeleteFunc(d.all, func(sub leat.Subscription) bool { return sub.Group != leat.ReplayGroup })
				assert.Equal(t, c.want, got)
			})
		})
	}
}
