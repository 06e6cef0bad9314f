package eventtest_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// one wires a service with one handler and one event.
func one(t *testing.T, x *eventtest.Exploration, handle leat.HandlerFunc) {
	t.Helper()
	x.Service("billing", consume("orders", "billing", handle))
	publishOrders(t, x, 1)
}

// TestFindsMarkAfterEffect: a store of its own does not make an effect idempotent, since a crash
// can come between the two.
func TestFindsMarkAfterEffect(t *testing.T) {
	f := eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		store := middleware.NewMemoryStore(1000, time.Hour)
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			handler := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				x.Effect(ctx, e, "charge")
				return nil
			})
			return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, handler,
				&leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.Idempotent(store, nil)}}))
		})
		publishOrders(t, x, 10)
		x.ExactlyOnce("charge", nil)
	})
	found(t, f)
	assert.Contains(t, f.Schedule[0], "charge/e")
	assert.Contains(t, f.Schedule[0], "crash-after")
}

// TestFindsSwallowedPublishError: a handler that does not look at what its publish returned.
func TestFindsSwallowedPublishError(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		shipped := &counter{n: map[string]int{}}
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
			return consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
				_ = p.Publish(ctx, "payments", e)
				return nil
			})(ctx, b)
		})
		x.Service("shipping", consume("payments", "shipping", func(_ context.Context, e leat.Event) error {
			shipped.add(e.ID())
			return nil
		}))
		publishOrders(t, x, 10)
		x.Invariant("all orders are shipped", func() error {
			if len(shipped.n) != 10 {
				return errors.New("an order is not shipped")
			}
			return nil
		})
	}))
}

// TestFindsCheckThenAct: to ask and then to act is not idempotent when a lost lease brings the
// event to another process meanwhile.
func TestFindsCheckThenAct(t *testing.T) {
	f := eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		for _, name := range []string{"one", "two"} {
			x.Service(name, consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
				if x.Effects(e, "charge") > 0 {
					return nil
				}
				x.Effect(ctx, e, "charge")
				return nil
			}))
		}
		publishOrders(t, x, 10)
		x.ExactlyOnce("charge", nil)
	})
	found(t, f)
	assert.Contains(t, f.Timeline, "lease of")
}

// TestRunWithoutRestFails: what keeps a run from coming to rest is a finding, in bounded time.
func TestRunWithoutRestFails(t *testing.T) {
	for name, test := range map[string]struct {
		handle leat.HandlerFunc
		says   string
	}{
		"keeps failing": {func(context.Context, leat.Event) error { return errors.New("no") }, "event e1 stays unsettled in group billing"},
		"waits for a day": {func(ctx context.Context, _ leat.Event) error {
			select {
			case <-ctx.Done():
			case <-time.After(24 * time.Hour):
			}
			return nil
		}, "event e1 stays unsettled in group billing"},
		"never returns":         {func(context.Context, leat.Event) error { select {} }, "event e1 stays unsettled in group billing"},
		"asks without end":      {nil, "it goes on after"},
		"another context":       {nil, "not the handler's"},
		"no goroutine any more": {nil, "ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			f := eventtest.Search(t, 1, func(x *eventtest.Exploration) {
				switch name {
				case "asks without end":
					one(t, x, func(ctx context.Context, e leat.Event) error {
						for {
							x.Effect(ctx, e, "charge")
						}
					})
				case "another context":
					one(t, x, func(_ context.Context, e leat.Event) error {
						x.Effect(context.Background(), e, "charge")
						return nil
					})
				case "no goroutine any more":
					x.Service("billing", func(context.Context, leat.Broker) error { panic("its function ended its goroutine") })
				default:
					one(t, x, test.handle)
				}
			})
			require.NotNil(t, f)
			assert.ErrorContains(t, f.Err, test.says)
			assert.Empty(t, f.Schedule)
			assert.Less(t, time.Since(began), time.Minute) // real time, on a machine that does other things as well
		})
	}
}

// TestCrashFences: after a crash, nothing that the old life does counts.
func TestCrashFences(t *testing.T) {
	f := eventtest.Search(t, 300, func(x *eventtest.Exploration) {
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
			return consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
				returned := false
				defer func() {
					if !returned { // the goroutine ends: only a crash does that
						_ = p.Publish(ctx, "ghosts", e)
						x.Effect(ctx, e, "ghost")
					}
				}()
				x.Effect(ctx, e, "charge")
				returned = true
				return nil
			})(ctx, b)
		})
		x.Service("ghosts", consume("ghosts", "ghosts", func(ctx context.Context, e leat.Event) error {
			x.Effect(ctx, e, "ghost")
			return nil
		}))
		publishOrders(t, x, 3)
		x.Invariant("no ghosts", func() error {
			for i := range 3 {
				if x.Effects(exploredEvent(t, "order.placed", "order-"+string(rune('0'+i)), ""), "ghost") > 0 {
					return errors.New("what a crashed service did counts")
				}
			}
			return nil
		})
	})
	require.Nil(t, f)
}

// TestBroadcastAndUnorderedServices: they run, and crash, like others.
func TestBroadcastAndUnorderedServices(t *testing.T) {
	eventtest.Explore(t, 200, func(x *eventtest.Exploration) {
		for _, sub := range []leat.Subscription{{Topic: "orders", Broadcast: true}, {Topic: "orders", Group: "mail", Unordered: true}} {
			name := cmp.Or(sub.Group, "cache")
			x.Service(name, func(ctx context.Context, b leat.Broker) error {
				return leat.Run(ctx, leat.NewConsumer(b, sub, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
					x.EffectOnce(ctx, e, name)
					return nil
				}), nil))
			})
		}
		publishOrders(t, x, 6)
		x.ExactlyOnce("mail", func(leat.Event) bool { return true })
		x.NoLoss()
		x.NothingPoisoned(nil)
	})
}

// TestCompetingServices: two services that share a group take turns.
func TestCompetingServices(t *testing.T) {
	eventtest.Explore(t, 200, func(x *eventtest.Exploration) {
		for _, name := range []string{"one", "two"} {
			x.Service(name, consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
				x.EffectOnce(ctx, e, "charge")
				return nil
			}))
		}
		publishOrders(t, x, 8)
		x.ExactlyOnce("charge", func(leat.Event) bool { return true })
		x.OrderPerKey("charge")
		x.NoLoss()
	})
}
