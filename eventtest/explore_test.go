package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exploredEvent returns an event from outside.
func exploredEvent(t *testing.T, eventType, id, key string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent(eventType, &leat.EventOptions{ID: id, Source: "/test", Key: key})
	require.NoError(t, err)
	return e
}

// consume returns a service that is one consumer.
func consume(topic, group string, handle leat.HandlerFunc) func(ctx context.Context, b leat.Broker) error {
	return func(ctx context.Context, b leat.Broker) error {
		return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: group}, handle, nil))
	}
}

// publishOrders publishes n orders of a few customers.
func publishOrders(t *testing.T, x *eventtest.Exploration, n int) {
	t.Helper()
	for i := range n {
		x.Publish("orders", exploredEvent(t, "order.placed", fmt.Sprintf("order-%d", i), fmt.Sprintf("customer-%d", i%3)))
	}
}

// found requires that a search found something within 500 runs and shortened it well.
func found(t *testing.T, f *eventtest.Finding) {
	t.Helper()
	require.NotNil(t, f, "the bug was not found")
	t.Log(f.String())
	assert.LessOrEqual(t, len(f.Schedule), 10, "the schedule is too long")
	assert.NotEmpty(t, f.Timeline)
	assert.Contains(t, f.Command, fmt.Sprintf("LEAT_EXPLORE_SEED=%d", f.Seed))
}

// TestFindsMissingIdempotency: a handler that charges without asking whether it has.
func TestFindsMissingIdempotency(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			return consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
				x.Effect(ctx, e, "charge")
				return nil
			})(ctx, b)
		})
		publishOrders(t, x, 10)
		x.ExactlyOnce("charge", func(leat.Event) bool { return true })
	}))
}

// TestFindsOrderBetweenKeys: a handler that takes for granted that a customer's event comes before
// the customer's order, which has another key.
func TestFindsOrderBetweenKeys(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		known := map[string]bool{}
		x.Service("shipping", consume("shop", "shipping", func(ctx context.Context, e leat.Event) error {
			switch e.Type() {
			case "customer.created":
				known[e.Key()] = true
			case "order.placed":
				if !known["customer-"+e.ID()] {
					return leat.Reject(errors.New("there is no such customer"))
				}
			}
			return nil
		}))
		for i := range 5 {
			x.Publish("shop", exploredEvent(t, "customer.created", fmt.Sprintf("c%d", i), fmt.Sprintf("customer-%d", i)))
			x.Publish("shop", exploredEvent(t, "order.placed", fmt.Sprint(i), fmt.Sprintf("order-%d", i)))
		}
		x.NothingPoisoned(nil)
	}))
}

// TestFindsPublishBeforeEffect: a handler that tells the others before it has done what it tells.
func TestFindsPublishBeforeEffect(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		var early []string
		orders := map[string]leat.Event{}
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
			return consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
				orders[e.ID()] = e
				paid, err := leat.NewEvent("order.paid", &leat.EventOptions{ID: e.ID(), Key: e.Key()})
				if err != nil {
					return err
				}
				if err := p.Publish(ctx, "payments", paid); err != nil {
					return err
				}
				x.EffectOnce(ctx, e, "charge")
				return nil
			})(ctx, b)
		})
		x.Service("shipping", consume("payments", "shipping", func(_ context.Context, e leat.Event) error {
			if x.Effects(orders[e.ID()], "charge") == 0 {
				early = append(early, e.ID())
			}
			return nil
		}))
		publishOrders(t, x, 10)
		x.Invariant("nothing is shipped before it is charged", func() error {
			if len(early) > 0 {
				return fmt.Errorf("shipped before charged: %v", early)
			}
			return nil
		})
	}))
}

// counter counts by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) add(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name]++
	return c.n[name]
}

// shop wires services that are right: what they do is idempotent, what they publish follows what
// they did and keeps its id.
func shop(t *testing.T, x *eventtest.Exploration, events int) {
	t.Helper()
	attempts := &counter{n: map[string]int{}}
	x.Service("billing", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
		handler := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if attempts.add(e.ID()) == 1 && len(e.ID())%3 == 0 {
				return errors.New("the first attempt fails")
			}
			if e.Type() == "order.damaged" {
				return leat.Reject(errors.New("damaged"))
			}
			x.EffectOnce(ctx, e, "charge")
			paid, err := leat.NewEvent("order.paid", &leat.EventOptions{ID: "paid-" + e.ID(), Key: e.Key()})
			if err != nil {
				return err
			}
			return p.Publish(ctx, "payments", paid)
		})
		return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, handler, &leat.ConsumerOptions{
			Middleware: []leat.Middleware{middleware.Retry(nil)}, PoisonQueue: middleware.PoisonQueue(p, nil),
		}))
	})
	x.Service("shipping", consume("payments", "shipping", func(ctx context.Context, e leat.Event) error {
		x.EffectOnce(ctx, e, "ship")
		return nil
	}))
	publishOrders(t, x, events-1)
	x.Publish("orders", exploredEvent(t, "order.damaged", "damaged", "customer-1"))
	x.ExactlyOnce("charge", func(e leat.Event) bool { return e.Type() == "order.placed" })
	x.ExactlyOnce("ship", func(e leat.Event) bool { return e.Type() == "order.paid" })
	x.OrderPerKey("charge")
	x.OrderPerKey("ship")
	x.NoLoss()
	x.NothingPoisoned(func(e leat.Event) bool { return e.Type() == "order.damaged" })
}

// TestExplorePassesWhatIsRight runs services that bear everything.
func TestExplorePassesWhatIsRight(t *testing.T) {
	eventtest.Explore(t, 500, func(x *eventtest.Exploration) { shop(t, x, 12) })
}
