package leat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leavingError ends a lease while the engine looks at it: after the engine saw that the lease
// lasts, before it files the outcome.
type leavingError struct{ end func() }

func (e *leavingError) Error() string { return "leaving" }
func (e *leavingError) Unwrap() error {
	e.end()
	return nil
}

func TestLeaseThatEndsBetweenTheHandlersErrorAndItsFiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		var calls atomic.Int64
		r := start(t, b, func(context.Context, leat.Event) error {
			calls.Add(1)
			return &leavingError{func() { lease.End(errors.New("rebalanced")) }}
		}, nil)
		b.deliver(lease, event(t, "1", "k"))
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, calls.Load(), "it belongs to somebody else now")
		assert.EqualValues(t, 1, r.consumer.Stats().LeaseLost)
		assert.Zero(t, r.consumer.Stats().InFlight)
		assert.Empty(t, b.settlements())
		r.stopClean()
	})
}

func TestFailureDuringTheDrainOfItsLeaseGoesBackInOrder(t *testing.T) {
	for _, verdict := range []string{"error", "retry", "reject", "poison queue fails"} {
		t.Run(verdict, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				b.caps.Watermark = true // so that what waits is still there
				o := &leat.ConsumerOptions{Concurrency: 2}
				if verdict == "poison queue fails" {
					o.PoisonQueue = poisonFunc(func(context.Context, leat.Poisoned) error { return errBoom })
				}
				r := start(t, b, func(_ context.Context, e leat.Event) error {
					time.Sleep(time.Second)
					switch {
					case e.ID() == "newest":
						return nil
					case verdict == "retry":
						return leat.RetryAfter(time.Hour, errBoom)
					case verdict == "error":
						return errBoom
					}
					return leat.Reject(errBoom)
				}, o)
				lease := leat.NewLease()
				b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"), event(t, "3", "k"), event(t, "newest", "j"))
				synctest.Wait()
				var released atomic.Bool
				lease.Drain(func() { released.Store(true) })
				time.Sleep(2 * time.Second)
				assert.True(t, released.Load())
				var back []string
				for _, s := range b.settlements() {
					if s != "newest ack" {
						back = append(back, s)
					}
				}
				assert.Equal(t, []string{"1 back", "2 back", "3 back"}, back)
				assert.Zero(t, r.consumer.Stats().InFlight)
				r.stopClean()
			})
		})
	}
}

func TestFailureDuringTheDrainGoesBackAtOnce(t *testing.T) {
	for _, verdict := range []string{"error", "reject", "poison queue fails", "poison queue works"} {
		t.Run(verdict, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				o := &leat.ConsumerOptions{}
				if verdict == "poison queue fails" || verdict == "poison queue works" {
					o.PoisonQueue = poisonFunc(func(context.Context, leat.Poisoned) error {
						time.Sleep(time.Second)
						if verdict == "poison queue fails" {
							return errBoom
						}
						return nil
					})
				}
				r := start(t, b, func(context.Context, leat.Event) error {
					time.Sleep(time.Second)
					if verdict == "error" {
						return errBoom
					}
					return leat.Reject(errBoom)
				}, o)
				b.deliver(leat.NewLease(), event(t, "1", "k"))
				synctest.Wait()
				began := time.Now()
				r.stopClean()
				assert.LessOrEqual(t, time.Since(began), 2*time.Second)
				want := "1 back"
				if verdict == "poison queue works" {
					want = "1 ack"
				}
				assert.Equal(t, []string{want}, b.settlements())
			})
		})
	}
}

func TestLeaseLostDuringAPoisonPublish(t *testing.T) {
	for _, result := range []error{nil, errBoom} {
		t.Run(fmt.Sprint(result), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
					&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(ctx context.Context, _ leat.Poisoned) error {
						<-ctx.Done()
						return result
					})})
				lease := leat.NewLease()
				b.deliver(lease, event(t, "1", "k"))
				synctest.Wait()
				lease.End(errors.New("rebalanced"))
				synctest.Wait()
				assert.Empty(t, b.settlements(), "a lost delivery is not settled")
				s := r.consumer.Stats()
				assert.EqualValues(t, 1, s.LeaseLost)
				assert.Zero(t, s.Poisoned)
				assert.Zero(t, s.InFlight)
				assert.Equal(t, leat.Health{}, r.consumer.Health(), "the poison queue is not to blame")
				r.stopClean()
			})
		})
	}
}

func TestDrainOnAWatermarkStreamCountsAPoisonPublishAsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.Watermark = true
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}, &leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
			time.Sleep(time.Second)
			return nil
		})})
		lease := leat.NewLease()
		b.deliver(lease, event(t, "a1", "a"), event(t, "a2", "a"))
		b.deliverRaw(leat.Delivery{Malformed: &leat.Malformed{Reason: errBoom}, Lease: lease, Position: leat.Position{ID: "m"}})
		synctest.Wait()
		r.stopClean()
		assert.ElementsMatch(t, []string{"a1 ack", "a2 ack", "m ack"}, b.settlements())
	})
}

func TestGoexitLeavesItsPlaceToAnotherWorkerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			tr.at("%s", e.ID())
			if info, _ := leat.InfoFrom(ctx); e.ID() == "1" && info.Attempt == 1 {
				runtime.Goexit()
			}
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1})
		b.deliver(leat.NewLease(), event(t, "1", "a"), event(t, "2", "b"))
		time.Sleep(time.Minute)
		require.Len(t, tr.all(), 3)
		assert.Equal(t, []string{"0s 1", "0s 2"}, tr.all()[:2])
		r.stopClean()
	})
}

func TestTheLongerOfTwoPausesHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		var calls atomic.Int64
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			calls.Add(1)
			time.Sleep(time.Second)
			switch {
			case calls.Load() > 2:
				tr.at("%s", e.ID())
				return nil
			case e.ID() == "long":
				return leat.Pause(time.Hour, errBoom)
			}
			time.Sleep(time.Second)
			return leat.Pause(time.Minute, errBoom)
		}, nil)
		b.deliver(leat.NewLease(), event(t, "long", ""), event(t, "short", ""))
		time.Sleep(2 * time.Hour)
		assert.ElementsMatch(t, []string{"1h0m2s long", "1h0m2s short"}, tr.all())
		r.stopClean()
	})
}

func TestConsumerThatIsPausedBeforeItRunsReceivesAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		c := leat.NewConsumer(b, testSub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), nil)
		c.Pause()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, c) }()
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		assert.Zero(t, b.receivedCount())
		assert.Equal(t, leat.Paused, c.Health().State)
		c.Resume()
		synctest.Wait()
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		cancel()
		require.NoError(t, <-result)
	})
}

func TestReleaseOfALeaseFollowsItsGiveBacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error { return leat.RetryAfter(time.Hour, errBoom) }, nil)
		lease := leat.NewLease()
		b.deliver(lease, event(t, "1", "k"))
		synctest.Wait()
		var settled []string
		lease.Drain(func() { settled = b.settlements() })
		assert.Equal(t, []string{"1 back"}, settled)
		r.stopClean()
	})
}

// tardySettle takes a second to give back.
type tardySettle struct{ *fakeBroker }

type tardyStream struct{ leat.Stream }

func (b tardySettle) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := b.fakeBroker.Subscribe(ctx, sub)
	return tardyStream{s}, err
}

func (s tardyStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if how.Action == leat.GiveBack {
		time.Sleep(time.Second)
	}
	s.Stream.Settle(d, how)
}

func TestStreamIsClosedAfterTheGiveBacksOfALeaseThatDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tardySettle{newFakeBroker()}
		r := start(t, b, func(context.Context, leat.Event) error { return leat.RetryAfter(time.Hour, errBoom) }, nil)
		lease := leat.NewLease()
		b.deliver(lease, event(t, "1", "k"))
		synctest.Wait()
		go lease.Drain(func() {})
		synctest.Wait()
		r.stopClean()
		assert.Equal(t, []string{"1 back"}, b.settlements(), "before Run returned")
	})
}

func TestDrainOnAWatermarkStreamRunsWhatAPauseHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.Watermark = true
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}, &leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil })})
		r.consumer.Pause()
		lease := leat.NewLease()
		b.queue = append(b.queue, leat.Delivery{Event: event(t, "a1", "a"), Lease: lease, Position: leat.Position{ID: "a1"}})
		b.deliverRaw(leat.Delivery{Malformed: &leat.Malformed{Reason: errBoom}, Lease: lease, Position: leat.Position{ID: "m"}})
		synctest.Wait()
		require.Equal(t, []string{"m ack"}, b.settlements())
		began := time.Now()
		r.stopClean()
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, []string{"m ack", "a1 ack"}, b.settlements(), "a1 lies below m, which is done")
	})
}

func TestLeaseDrainOnAWatermarkStreamDoesNotWaitForResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.Watermark = true
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}, &leat.ConsumerOptions{Concurrency: 2})
		lease := leat.NewLease()
		b.deliver(lease, event(t, "a1", "a"), event(t, "a2", "a"), event(t, "b1", "b"))
		synctest.Wait()
		r.consumer.Pause()
		var released atomic.Bool
		lease.Drain(func() { released.Store(true) })
		time.Sleep(2 * time.Second)
		assert.True(t, released.Load())
		assert.ElementsMatch(t, []string{"a2 back", "a1 ack", "b1 ack"}, b.settlements())
		r.stopClean()
	})
}

func TestWatermarkDrainGivesBackWhatTheTimeDidNotSufficeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.Watermark = true
		free := make(chan struct{})
		r := start(t, b, func(context.Context, leat.Event) error {
			<-free
			return nil
		}, &leat.ConsumerOptions{Concurrency: 2, ShutdownTimeout: time.Second})
		b.deliver(leat.NewLease(), event(t, "a1", "a"), event(t, "a2", "a"), event(t, "b1", "b"))
		synctest.Wait()
		require.Error(t, r.stop())
		assert.Equal(t, []string{"a2 back"}, b.settlements())
		close(free)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"a2 back", "a1 ack", "b1 ack"}, b.settlements(), "nothing is settled twice")
	})
}

func TestDelayThatTheBrokerCannotKeepOrThatIsShortWaitsInTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.LongestDelay = time.Hour
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.ID() == "short" {
				return leat.RetryAfter(30*time.Second, errBoom)
			}
			return leat.RetryAfter(2*time.Hour, errBoom)
		}, nil)
		b.deliver(leat.NewLease(), event(t, "short", ""), event(t, "long", ""))
		synctest.Wait()
		assert.Empty(t, b.settlements())
		assert.Equal(t, 2, r.consumer.Stats().Parked)
		r.stopClean()
	})
}

func TestFirstDeliveryOfAnEventStartsCountingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var attempts []int
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			attempts = append(attempts, info.Attempt)
			return leat.RetryAfter(time.Hour, errBoom)
		}, nil)
		for range 2 {
			lease := leat.NewLease()
			b.deliverRaw(leat.Delivery{Event: event(t, "1", "k"), Lease: lease, Deliveries: 1})
			synctest.Wait()
			lease.End(errors.New("gone"))
		}
		assert.Equal(t, []int{1, 1}, attempts, "the broker says that it is another event with that id")
		r.stopClean()
	})
}

func TestContextThatAHandlerKeptIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var kept context.Context
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			if kept == nil {
				kept = ctx //nolint:fatcontext // that a handler keeps its context is what is tested
				return leat.RetryAfter(time.Second, errBoom)
			}
			return nil
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		r.stopClean()
		info, _ := leat.InfoFrom(kept)
		assert.Equal(t, 1, info.Attempt)
		assert.Equal(t, []string{"1 ack"}, b.settlements())
	})
}

func TestPanicDuringTheDrainIsNamedByRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			panic("a bug in the handler")
		}, nil)
		b.deliver(leat.NewLease(), event(t, "order-7", "k"))
		synctest.Wait()
		err := r.stop()
		require.ErrorContains(t, err, "order-7")
		assert.Equal(t, []string{"order-7 back"}, b.settlements())
	})
}
