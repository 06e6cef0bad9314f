package eventtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// busy wires services whose handlers fail, publish and act, with random ids and retries with jitter.
func busy(x *Exploration) {
	var mu sync.Mutex
	failures := map[string]int{}
	fails := func(e leat.Event) bool {
		mu.Lock()
		defer mu.Unlock()
		failures[e.Key()]++
		return failures[e.Key()]%3 == 1
	}
	x.Service("billing", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
		handler := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if fails(e) {
				return errors.New("now and then it fails")
			}
			x.Effect(ctx, e, "charge")
			paid, err := leat.NewEvent("order.paid", nil)
			if err != nil {
				return err
			}
			return p.Publish(ctx, "payments", paid)
		})
		return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, handler, nil))
	})
	for _, group := range []string{"shipping", "mail"} {
		x.Service(group, func(ctx context.Context, b leat.Broker) error {
			return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "payments", Group: group},
				leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
					x.Effect(ctx, e, group)
					return nil
				}), nil))
		})
	}
	for i := range 10 {
		e, _ := leat.NewEvent("order.placed", &leat.EventOptions{Key: fmt.Sprint("key-", i%4)})
		x.Publish("orders", e)
	}
	x.NoLoss()
}

// TestSameSeedSameSchedule repeats runs and compares their timelines byte for byte.
func TestSameSeedSameSchedule(t *testing.T) {
	for seed := range uint64(10) {
		first := execute1(t, newPlan(seed), busy)
		require.Nil(t, first.failure)
		for range 19 {
			again := execute1(t, newPlan(seed), busy)
			require.Equal(t, first.timeline(), again.timeline(), "seed %d", seed)
			require.Equal(t, first.plan.schedule(), again.plan.schedule(), "seed %d", seed)
		}
		replayed := execute1(t, replayPlan(seed, first.plan.chosen), busy)
		assert.Equal(t, first.timeline(), replayed.timeline(), "seed %d: the list of decisions does not replay the run", seed)
	}
}
