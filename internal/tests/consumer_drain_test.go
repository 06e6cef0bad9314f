package leat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func crash(how string) {
	if how == "panic" {
		panic("a bug in the handler")
	}
	runtime.Goexit()
}

func TestDrainLetsHandlersFinishAndGivesBackWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			if e.ID() == "parked" {
				return leat.RetryAfter(time.Hour, errBoom)
			}
			time.Sleep(10 * time.Second)
			return ctx.Err() // nil: the context outlives the end of Run's
		}, &leat.ConsumerOptions{Concurrency: 2})
		b.deliver(lease, event(t, "parked", "p"))
		synctest.Wait()
		b.deliver(lease, event(t, "p2", "p"), event(t, "1", "a"), event(t, "2", "b"), event(t, "3", "a"), event(t, "4", "c"))
		synctest.Wait()
		began := time.Now()
		r.stopClean()
		assert.Equal(t, 10*time.Second, time.Since(began))
		got := b.settlements()
		assert.ElementsMatch(t, []string{"parked back", "p2 back", "3 back", "4 back", "1 ack", "2 ack"}, got)
		assert.Equal(t, []string{"parked back", "p2 back"}, got[:2], "in their order")
		assert.True(t, b.closed)
		s := r.consumer.Stats()
		assert.EqualValues(t, 4, s.GivenBack)
		assert.Zero(t, s.InFlight)
		assert.Equal(t, leat.Stopped, r.consumer.Health().State)
	})
}

func TestDrainOnAWatermarkStreamFinishesWhatLiesBelowTheNewestStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.Watermark = true
		lease := leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			tr.add("%s", e.ID())
			if e.ID() == "parked" {
				return leat.RetryAfter(time.Hour, errBoom)
			}
			time.Sleep(time.Second)
			return nil
		}, &leat.ConsumerOptions{Concurrency: 2})
		b.deliver(lease, event(t, "parked", "p"))
		synctest.Wait()
		// a1 and b1 start; a2 and p2 lie below b1, c1 above it.
		b.deliver(lease, event(t, "a1", "a"), event(t, "a2", "a"), event(t, "p2", "p"), event(t, "b1", "b"), event(t, "c1", "c"))
		synctest.Wait()
		r.stopClean()
		assert.ElementsMatch(t, []string{"parked", "a1", "b1", "a2"}, tr.all())
		assert.ElementsMatch(t, []string{"parked back", "p2 back", "c1 back", "a1 ack", "a2 ack", "b1 ack"}, b.settlements())
	})
}

func TestHandlerThatBlocksPastTheDrainIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		free := make(chan struct{})
		var cause error
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			if e.ID() == "polite" {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return ctx.Err()
			}
			<-free
			return nil
		}, &leat.ConsumerOptions{ShutdownTimeout: 5 * time.Second})
		b.deliver(leat.NewLease(), event(t, "polite", "a"), event(t, "stuck", "b"), event(t, "behind", "b"))
		synctest.Wait()
		began := time.Now()
		err := r.stop()
		took := time.Since(began)
		require.Error(t, err)
		assert.Equal(t, leat.CodeHandler, leat.CodeOf(err))
		assert.ErrorContains(t, err, `"stuck"`)
		assert.NotContains(t, err.Error(), "polite")
		assert.GreaterOrEqual(t, took, 5*time.Second)
		assert.LessOrEqual(t, took, 5*time.Second+250*time.Millisecond)
		assert.Equal(t, leat.CodeCanceled, leat.CodeOf(cause))
		assert.ElementsMatch(t, []string{"behind back", "polite back"}, b.settlements())
		assert.Zero(t, r.consumer.Stats().Retried, "a handler that was told to stop has not failed")
		close(free)
		synctest.Wait()
	})
}

func TestPanicThatLeavesAnEventUnhandledIsNamedByRun(t *testing.T) {
	for _, how := range []string{"panic", "goexit"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				r := start(t, b, func(context.Context, leat.Event) error {
					crash(how)
					return nil
				}, nil)
				b.deliver(leat.NewLease(), event(t, "order-7", "k"))
				time.Sleep(time.Minute)
				err := r.stop()
				assert.Equal(t, leat.CodeHandler, leat.CodeOf(err))
				assert.ErrorContains(t, err, "order-7")
				assert.ErrorContains(t, err, "consumer_drain_test.go", "the stack says where")
				assert.Equal(t, []string{"order-7 back"}, b.settlements())
			})
		})
	}
}

func TestRunEndsWithTheStreamsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, other := newFakeBroker(), newFakeBroker()
		var handled atomic.Int64
		handle := leat.HandlerFunc(func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			handled.Add(1)
			return nil
		})
		result := make(chan error, 1)
		go func() {
			result <- leat.Run(t.Context(), leat.NewConsumer(b, testSub, handle, nil), leat.NewConsumer(other, testSub, handle, nil))
		}()
		other.deliver(leat.NewLease(), event(t, "1", ""))
		synctest.Wait()
		b.fail(&leat.Error{Op: "receive", Code: leat.CodePermissionDenied})
		err := <-result
		assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err))
		assert.EqualValues(t, 1, handled.Load(), "the other consumer is drained")
		assert.True(t, other.closed)
	})
}

func TestRunRefusesWhatCannotRun(t *testing.T) {
	b := newFakeBroker()
	handle := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	for name, c := range map[string]*leat.Consumer{
		"no handler":      leat.NewConsumer(b, testSub, nil, nil),
		"no broker":       leat.NewConsumer(nil, testSub, handle, nil),
		"no group":        leat.NewConsumer(b, leat.Subscription{Topic: "orders"}, handle, nil),
		"no topic":        leat.NewConsumer(b, leat.Subscription{Group: "billing"}, handle, nil),
		"bad name":        leat.NewConsumer(b, leat.Subscription{Topic: "or ders", Group: "billing"}, handle, nil),
		"negative option": leat.NewConsumer(b, testSub, handle, &leat.ConsumerOptions{Concurrency: -1}),
	} {
		t.Run(name, func(t *testing.T) {
			err := leat.Run(t.Context(), c)
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
		})
	}
}

// TestWrongConsumerOptionsNameFieldAndRange: no value becomes a default, and none means
// "unlimited".
func TestWrongConsumerOptionsNameFieldAndRange(t *testing.T) {
	handle := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	for text, o := range map[string]leat.ConsumerOptions{
		"ConsumerOptions.Concurrency is out of its range; use 1 to 2147483647, or 0": {Concurrency: -1},
		"ConsumerOptions.MaxInFlight is out of its range; use 1 to":                  {MaxInFlight: -1},
		"ConsumerOptions.MaxInFlightBytes is out of its range; use 1 to":             {MaxInFlightBytes: -1},
		"ConsumerOptions.MaxDeliveries is out of its range; use 1 to":                {MaxDeliveries: -1},
		"ConsumerOptions.ShutdownTimeout is out of its range; use 1ns to":            {ShutdownTimeout: -1},
		"ConsumerOptions.StallAfter is out of its range; use 1ns to":                 {StallAfter: -1},
	} {
		err := leat.Run(t.Context(), leat.NewConsumer(newFakeBroker(), testSub, handle, &o))
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
		assert.ErrorContains(t, err, text)
	}
	err := leat.Subscription{Topic: "t", Group: "g", MaxInFlight: -1}.Validate()
	assert.ErrorContains(t, err, "Subscription.MaxInFlight is out of its range; use 1 to 2147483647, or 0 for the default")
}

func TestRunTwiceAtOnceIsRefusedAndOnceMoreIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, nil)
		err := leat.Run(t.Context(), r.consumer)
		assert.Equal(t, leat.CodeConflict, leat.CodeOf(err))
		r.stopClean()

		ctx, cancel := context.WithCancel(t.Context())
		go func() { r.result <- leat.Run(ctx, r.consumer) }()
		b.deliver(leat.NewLease(), event(t, "1", ""))
		synctest.Wait()
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		cancel()
		require.NoError(t, <-r.result)
	})
}

func TestRunDeclaresItsGroupsAndItsPoisonQueueFirst(t *testing.T) {
	b := newFakeBroker()
	var declared []string
	b.declare = func(subs []leat.Subscription) error {
		for _, s := range subs {
			declared = append(declared, s.Topic+"|"+s.Group)
		}
		return &leat.Error{Op: "declare", Code: leat.CodePermissionDenied, Err: errors.New("no")}
	}
	handle := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	c := leat.NewConsumer(b, testSub, handle, &leat.ConsumerOptions{
		PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil }),
	})
	err := leat.Run(t.Context(), c)
	assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err))
	assert.Equal(t, []string{"orders|billing", "orders.billing.poison|replay"}, declared)
}

func TestShutdownAtEveryMomentSettlesEveryEventOnce(t *testing.T) {
	for ms := range 40 {
		t.Run(fmt.Sprint(ms), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				lease := leat.NewLease()
				r := start(t, b, func(ctx context.Context, e leat.Event) error {
					time.Sleep(3 * time.Millisecond)
					if info, _ := leat.InfoFrom(ctx); e.Key() == "k3" && info.Attempt == 1 {
						return leat.RetryAfter(5*time.Millisecond, errBoom)
					}
					return nil
				}, &leat.ConsumerOptions{Concurrency: 4})
				for i := range 30 {
					b.deliver(lease, event(t, fmt.Sprintf("%02d", i), fmt.Sprintf("k%d", i%5)))
				}
				time.Sleep(time.Duration(ms) * time.Millisecond)
				r.stopClean()
				want, got := []string{}, []string{} // the events that were received are the first ones
				for i := range b.receivedCount() {
					want = append(want, fmt.Sprintf("%02d", i))
				}
				for _, s := range b.settlements() {
					id, _, _ := strings.Cut(s, " ")
					got = append(got, id)
				}
				assert.ElementsMatch(t, want, got)
				assert.Zero(t, r.consumer.Stats().InFlight)
			})
		})
	}
}
