package eventtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mixed wires what makes it hard to repeat a run: two consumers in one service, handlers that
// sleep, pause and are rejected, retries of two kinds, asynchronous publishes, a driver of its own,
// and random ids.
func mixed(x *Exploration) {
	var mu sync.Mutex
	attempts := map[eventID]int{}
	attempt := func(e leat.Event) int {
		mu.Lock()
		defer mu.Unlock()
		attempts[idOf(e)]++
		return attempts[idOf(e)]
	}
	x.Service("billing", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
		orders := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			<-time.After(time.Duration(len(e.Key())) * time.Millisecond)
			switch n := attempt(e); {
			case e.Subject() == "bad":
				return leat.Reject(errors.New("bad"))
			case e.Subject() == "slow" && n == 1:
				return leat.Pause(time.Second, errors.New("wait"))
			case n < 3:
				return errors.New("not yet")
			}
			x.EffectOnce(ctx, e, "charge")
			paid, err := leat.NewEvent("order.paid", &leat.EventOptions{Key: e.Key()})
			if err != nil {
				return err
			}
			p.PublishAsync(ctx, "payments", nil, paid)
			return p.Flush(ctx)
		})
		payments := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if attempt(e) == 1 {
				return errors.New("once more")
			}
			x.Effect(ctx, e, "book")
			return nil
		})
		return leat.Run(ctx,
			leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, orders, &leat.ConsumerOptions{
				Middleware: []leat.Middleware{middleware.Retry(nil)}, PoisonQueue: middleware.PoisonQueue(p, nil), Concurrency: 3,
			}),
			leat.NewConsumer(b, leat.Subscription{Topic: "payments", Group: "billing"}, payments, nil))
	})
	x.Drive("till", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/till"})
		for i := range 9 {
			e, err := leat.NewEvent("order.placed", &leat.EventOptions{
				Key: fmt.Sprintf("%0*d", 1+i%3, i%3), Subject: []string{"good", "good", "slow", "bad"}[i%4],
			})
			if err != nil {
				return err
			}
			for err = p.Publish(ctx, "orders", e); leat.Retryable(err) && ctx.Err() == nil; err = p.Publish(ctx, "orders", e) {
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	x.OrderPerKey("charge")
	x.NoLoss()
	x.NothingPoisoned(func(e leat.Event) bool { return e.Subject() == "bad" })
}

// TestSameSeedSameSchedule repeats runs and compares their timelines byte for byte.
func TestSameSeedSameSchedule(t *testing.T) {
	for name, wire := range map[string]func(x *Exploration){"busy": busy, "mixed": mixed} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				first := execute1(t, newPlan(seed), wire)
				require.Nil(t, first.failure)
				for range 19 {
					again := execute1(t, newPlan(seed), wire)
					require.Equal(t, first.timeline(), again.timeline(), "seed %d", seed)
					require.Equal(t, first.plan.schedule(), again.plan.schedule(), "seed %d", seed)
				}
				replayed := execute1(t, replayPlan(seed, first.plan.chosen), wire)
				assert.Equal(t, first.timeline(), replayed.timeline(), "seed %d: the list of decisions does not replay the run", seed)
			}
		})
	}
}
