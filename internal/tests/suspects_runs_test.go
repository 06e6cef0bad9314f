package leat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever a handler does that leaves the process alive, its run came back.
func TestARunThatFailsCameBack(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context) error{
		"error":         func(context.Context) error { return errBoom },
		"panic":         func(context.Context) error { panic("boom") },
		"Goexit":        func(context.Context) error { runtime.Goexit(); return nil },
		"pause":         func(context.Context) error { return leat.Pause(time.Second, errBoom) },
		"outage":        func(context.Context) error { return &leat.Error{Op: "publish", Code: leat.CodeUnavailable} },
		"delay":         func(context.Context) error { return leat.RetryAfter(2*time.Minute, errBoom) },
		"lost lease":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"unkeyed delay": func(context.Context) error { return leat.RetryAfter(2*time.Minute, errBoom) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, 3)
				key := "k"
				if name == "unkeyed delay" {
					key = ""
				}
				g.publish(event(t, "1", key), event(t, "2", key))
				var calls atomic.Int64
				_, r := g.process(asSuspect, func(ctx context.Context, _ leat.Event) error {
					if calls.Add(1) < 10 {
						return fail(ctx)
					}
					return nil
				})
				for range 100 {
					time.Sleep(time.Minute)
					if name == "lost lease" && r.consumer.Stats().Running > 0 {
						require.NoError(t, g.broker.ExpireLeases(testSub.Topic, testSub.Group))
					}
				}
				s := r.consumer.Stats()
				assert.EqualValues(t, 2, s.Handled)
				assert.Zero(t, s.Suspects)
				assert.Equal(t, leat.Health{}, r.consumer.Health())
				r.stopClean()
				assert.Empty(t, g.poisonedIDs())
			})
		})
	}
}

// Without a poison queue, the event that ends the process stays unsettled and is not run any more.
func TestACondemnedSuspectWithoutPoisonQueueIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.o.PoisonQueue = nil
		g.publish(event(t, "1", "k"), event(t, "2", "other"))
		var runs atomic.Int64
		h := func(ctx context.Context, e leat.Event) error {
			if e.ID() == "2" {
				return nil
			}
			runs.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		for range 4 {
			l, r := g.process(asSuspect, h)
			time.Sleep(time.Minute)
			if runs.Load() == 2 && r.consumer.Stats().Running == 0 {
				assert.Len(t, r.consumer.Health().Problems, 2)
			}
			r.kill(l)
		}
		assert.EqualValues(t, 2, runs.Load())
	})
}

// MaxDeliveries is refused where it cannot be held.
func TestMaxDeliveriesIsRefusedWithoutACount(t *testing.T) {
	h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	for name, c := range map[string]struct {
		caps leat.Capabilities
		sub  leat.Subscription
	}{
		"no count":  {leat.Capabilities{Order: leat.OrderPerGroup}, testSub},
		"broadcast": {leat.Capabilities{Broadcast: true, DeliveryCount: true}, leat.Subscription{Topic: "orders", Broadcast: true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker()
			b.caps = c.caps
			b.declare = func(subs []leat.Subscription) error {
				for _, sub := range subs {
					assert.Equal(t, "orders", sub.Topic, "no topic for suspects that there will not be")
				}
				return nil
			}
			err := leat.Run(t.Context(), leat.NewConsumer(b, c.sub, h, &leat.ConsumerOptions{MaxDeliveries: 3}))
			assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
			assert.ErrorContains(t, err, "set it to 0")
			assert.True(t, b.closed, "the stream")
		})
	}
}

// The topics of two groups differ, also where one's name has dots.
func TestTopicsOfSuspectsDiffer(t *testing.T) {
	topics := map[string]bool{}
	for _, sub := range []leat.Subscription{
		{Topic: "orders", Group: "eu.billing"}, {Topic: "orders.eu", Group: "billing"}, {Topic: "a", Group: "b.c.d"},
		{Topic: "a.b", Group: "c.d"}, {Topic: "a.b.c", Group: "d"},
	} {
		b := newFakeBroker()
		b.caps.DeliveryCount = true
		b.declare = func(subs []leat.Subscription) error {
			for _, s := range subs {
				if s.Topic != sub.Topic {
					topics[s.Topic] = true
					assert.Equal(t, sub.Group, s.Group)
					return errors.New("enough")
				}
			}
			return nil
		}
		err := leat.Run(t.Context(), leat.NewConsumer(b, sub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }),
			&leat.ConsumerOptions{MaxDeliveries: 3}))
		require.ErrorContains(t, err, "enough")
		assert.True(t, b.closed, "the stream")
	}
	assert.Len(t, topics, 5, "%v", topics)
}

// A suspect runs alone among all consumers of one Run: what another one's handler does to the
// process would be blamed on it.
func TestASuspectRunsAloneInItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		other := leat.Subscription{Topic: "invoices", Group: "billing"}
		require.NoError(t, leat.Declare(t.Context(), g.broker, other))
		p := leat.NewProducer(g.broker, nil)
		for i := range 20 {
			g.publish(event(t, fmt.Sprint(i), ""))
			require.NoError(t, p.Publish(t.Context(), other.Topic, event(t, fmt.Sprint("o", i), "")))
		}
		var mu sync.Mutex
		suspects, others, together, handled := 0, 0, 0, 0
		work := func(n *int) leat.HandlerFunc {
			return func(context.Context, leat.Event) error {
				mu.Lock()
				*n++
				if suspects > 1 || suspects == 1 && others > 0 {
					together++
				}
				mu.Unlock()
				time.Sleep(300 * time.Millisecond)
				mu.Lock()
				*n--
				handled++
				mu.Unlock()
				return nil
			}
		}
		o := g.o
		o.Concurrency = 2
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() {
			over <- leat.Run(ctx,
				leat.NewConsumer(newLife(g.broker, asSuspect), testSub, work(&suspects), &o),
				leat.NewConsumer(newLife(g.broker, asSuspect), testSub, work(&suspects), &o), // a member of the same group
				leat.NewConsumer(g.broker, other, work(&others), &leat.ConsumerOptions{Concurrency: 2}))
		}()
		time.Sleep(10 * time.Minute)
		cancel()
		require.NoError(t, <-over)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 40, handled)
		assert.Zero(t, together)
		assert.Empty(t, g.poisonedIDs())
	})
}

// A handler that waits for another event to be handled must not wait for a suspect that waits for
// it.
func TestASuspectDoesNotHoldUpWhatAHandlerWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		l := newLife(g.broker, 0)
		o := g.o
		answered := make(chan struct{})
		var suspect atomic.Bool
		r := start(t, l, func(_ context.Context, e leat.Event) error {
			switch e.ID() {
			case "asks":
				<-answered
			case "answers":
				close(answered)
			case "suspect":
				suspect.Store(true)
			}
			return nil
		}, &o)
		g.publish(event(t, "asks", ""))
		synctest.Wait()
		l.deliveries.Store(asSuspect)
		g.publish(event(t, "suspect", ""))
		time.Sleep(time.Second)
		l.deliveries.Store(0)
		g.publish(event(t, "answers", ""))
		time.Sleep(time.Minute)
		assert.True(t, suspect.Load())
		assert.EqualValues(t, 3, r.consumer.Stats().Handled)
		r.stopClean()
	})
}
