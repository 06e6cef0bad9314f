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
	"weak"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func redeliver(b *fakeBroker, lease *leat.Lease, e leat.Event, deliveries int) {
	b.deliverRaw(leat.Delivery{Event: e, Lease: lease, Deliveries: deliveries, Position: leat.Position{ID: e.ID()}})
}

// An item behind a parked one of another lease gets ready when that lease ends; somebody must run
// it.
func TestEndOfALeaseWakesAWorkerForWhatWaitedBehindIt(t *testing.T) {
	for _, how := range []string{"end", "drain"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				tr := newTrace()
				r := start(t, b, func(_ context.Context, e leat.Event) error {
					tr.add("%s", e.ID())
					if e.ID() == "1" {
						return leat.RetryAfter(24*time.Hour, errBoom)
					}
					return nil
				}, nil)
				old := leat.NewLease()
				b.deliver(old, event(t, "1", "k"))
				synctest.Wait()
				b.deliver(leat.NewLease(), event(t, "2", "k"))
				synctest.Wait()
				if how == "end" {
					old.End(errors.New("expired"))
				} else {
					old.Drain(func() {})
				}
				time.Sleep(time.Hour)
				settled := b.settlements()
				assert.True(t, len(tr.all()) == 2 || len(settled) > 0 && settled[len(settled)-1] == "2 back",
					"2 is neither handled nor given back: ran %v, settled %v", tr.all(), settled)
				r.stopClean()
			})
		})
	}
}

// An event behind another one of its key that is rejected natively must not unbalance the count of
// ready items.
func TestNativeRejectBehindAnotherEventKeepsTheReadyCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.NativeReject = true
		lease := leat.NewLease()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			time.Sleep(time.Second)
			if e.ID() == "2" {
				return leat.Reject(errBoom)
			}
			return nil
		}, nil)
		b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"1 ack", "2 reject"}, b.settlements())
		b.deliver(lease, event(t, "3", "j"))
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"1 ack", "2 reject", "3 ack"}, b.settlements(), "no worker is woken for 3")
		began := time.Now()
		r.stopClean()
		assert.Less(t, time.Since(began), time.Second, "nothing runs, so the drain should be over at once")
	})
}

// The same when there is neither a poison queue nor native reject: the receive loop must learn that
// there is room.
func TestRoomIsSeenWhenTheLastReadyEventIsPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			time.Sleep(time.Second)
			if e.ID() == "2" {
				return leat.Reject(errBoom)
			}
			return nil
		}, &leat.ConsumerOptions{MaxInFlight: 2})
		b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"), event(t, "3", "j"))
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"1 ack", "3 ack"}, b.settlements(), "one of two places is free, and nothing is received")
		r.stopClean()
	})
}

func TestGoexitOfALostEventDuringTheDrainEndsTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			<-ctx.Done()
			runtime.Goexit()
			return nil
		}, nil)
		b.deliver(lease, event(t, "1", "k"))
		synctest.Wait()
		r.cancel()
		synctest.Wait()
		lease.End(errors.New("rebalanced"))
		began := time.Now()
		require.NoError(t, <-r.result)
		assert.Less(t, time.Since(began), time.Second, "nothing runs any more")
	})
}

func TestPoisonPublishThatStillRunsIsNamedByRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		free := make(chan struct{})
		r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
			&leat.ConsumerOptions{ShutdownTimeout: time.Second, PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
				<-free
				return nil
			})})
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		synctest.Wait()
		err := r.stop()
		assert.Error(t, err, "Run returned nil, so nothing may run any more")
		close(free)
		synctest.Wait()
	})
}

// DESIGN.md, The engine, Settlement: once the engine has ended a handler's context (drain, lost
// lease), its error is no failure and counts no attempt.
func TestALostLeaseCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var attempts []int
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			attempts = append(attempts, info.Attempt)
			if len(attempts) < 5 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, nil)
		for n := range 5 {
			lease := leat.NewLease()
			redeliver(b, lease, event(t, "1", "k"), n+1)
			time.Sleep(time.Second)
			lease.End(errors.New("rebalanced"))
			synctest.Wait()
		}
		assert.Equal(t, []int{1, 1, 1, 1, 1}, attempts)
		r.stopClean()
	})
}

// A Consumer that handles an event each second is slow, not stalled.
func TestASlowConsumerIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1})
		lease := leat.NewLease()
		for i := range 3000 {
			b.deliver(lease, event(t, fmt.Sprint(i), ""))
		}
		worst := leat.Healthy
		for range 300 {
			time.Sleep(time.Second)
			worst = max(worst, r.consumer.Health().State)
		}
		assert.Equal(t, leat.Healthy, worst)
		r.stopClean()
	})
}

func TestAStallThatBeganInAPauseIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error { return leat.RetryAfter(24*time.Hour, errBoom) },
			&leat.ConsumerOptions{MaxInFlight: 1})
		r.consumer.Pause()
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		synctest.Wait()
		r.consumer.Resume()
		time.Sleep(time.Hour)
		assert.Equal(t, leat.Stalled, r.consumer.Health().State)
		r.stopClean()
	})
}

// DESIGN.md, What must hold, 5 (calm), and poisonStage: one publish tries whether the queue is up
// again, and that backs off.
func TestProbesOfAPoisonQueueThatFailsAtOnceAreCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var tries atomic.Int64
		r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
			&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
				tries.Add(1)
				return errBoom
			})})
		lease := leat.NewLease()
		for i := range 900 {
			b.deliver(lease, event(t, fmt.Sprint(i), ""))
		}
		time.Sleep(10 * time.Minute)
		first := tries.Load()
		time.Sleep(10 * time.Minute)
		assert.Less(t, tries.Load()-first, int64(1300), "more than two tries a second on a queue that has been down for ten minutes")
		r.stopClean()
	})
}

// What left the ready list's owner must not be kept alive by it.
func TestLostEventsAreNotKeptWhileHandlersAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		free := make(chan struct{})
		r := start(t, b, func(context.Context, leat.Event) error {
			<-free
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1, MaxInFlight: 10})
		b.deliver(leat.NewLease(), event(t, "busy", "busy"))
		synctest.Wait()
		var kept []weak.Pointer[leat.Lease] // of each event, whose item has it
		for i := range 200 {
			kept = append(kept, deliverAndLose(t, b, fmt.Sprint(i)))
		}
		require.Equal(t, 1, r.consumer.Stats().InFlight)
		runtime.GC()
		runtime.GC()
		n := 0
		for _, lease := range kept {
			if lease.Value() != nil {
				n++
			}
		}
		assert.LessOrEqual(t, n, 2, "the events of so many ended leases are kept, while one event is in flight")
		close(free)
		synctest.Wait()
		r.stopClean()
	})
}

// deliverAndLose delivers an event whose lease ends, and returns the lease, which nobody but the
// Consumer's item may still keep then.
func deliverAndLose(t *testing.T, b *fakeBroker, id string) weak.Pointer[leat.Lease] {
	t.Helper()
	lease := leat.NewLease()
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s", Data: make([]byte, 4<<10)})
	require.NoError(t, err)
	b.deliver(lease, e)
	synctest.Wait()
	lease.End(errors.New("expired"))
	return weak.Make(lease)
}

// slowSettle is a broker whose GiveBack of one event takes its time.
type slowSettle struct {
	*fakeBroker

	gate chan struct{}
}

type slowSettleStream struct {
	leat.Stream

	gate chan struct{}
}

func (b *slowSettle) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := b.fakeBroker.Subscribe(ctx, sub)
	return &slowSettleStream{s, b.gate}, err
}

func (s *slowSettleStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if how.Action == leat.GiveBack {
		<-s.gate
	}
	s.Stream.Settle(d, how)
}

// Lease.Drain: everything that will be settled has been settled when release is called.
func TestReleaseComesAfterTheGiveBacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowSettle{newFakeBroker(), make(chan struct{})}
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}, nil)
		lease := leat.NewLease()
		b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"))
		synctest.Wait()
		var early atomic.Bool
		go lease.Drain(func() { early.Store(len(b.settlements()) < 2) })
		time.Sleep(2 * time.Second)
		close(b.gate)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"1 ack", "2 back"}, b.settlements())
		assert.False(t, early.Load(), "released before 2 was given back")
		r.stopClean()
	})
}

// An adapter's release that takes its time holds up other keys.
func TestASlowReleaseHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			time.Sleep(time.Second)
			tr.at("%s", e.ID())
			if e.ID() == "0" {
				return errBoom
			}
			return nil
		}, &leat.ConsumerOptions{Concurrency: 3, ShutdownTimeout: 5 * time.Second})
		lease, other := leat.NewLease(), leat.NewLease()
		b.deliver(lease, event(t, "0", "k"))
		synctest.Wait()
		lease.Drain(func() { time.Sleep(time.Minute) })
		time.Sleep(10 * time.Second)
		for i := range 4 {
			b.deliver(other, event(t, fmt.Sprint(i+1), ""))
		}
		time.Sleep(5 * time.Second)
		assert.Len(t, tr.all(), 5)
		began := time.Now()
		_ = r.stop()
		assert.LessOrEqual(t, time.Since(began), 5*time.Second+250*time.Millisecond)
		time.Sleep(time.Minute) // the release returns at last
	})
}

// What waits behind a parked event that is given back must not overtake it, whatever lease it came
// on.
func TestDrainOfALeaseKeepsTheOrderAcrossLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			if info, _ := leat.InfoFrom(ctx); e.ID() == "1" && info.Attempt == 1 {
				return leat.RetryAfter(24*time.Hour, errBoom)
			}
			tr.add("%s", e.ID())
			return nil
		}, nil)
		old, next := leat.NewLease(), leat.NewLease()
		b.deliver(old, event(t, "1", "k"))
		synctest.Wait()
		b.deliver(next, event(t, "2", "k"))
		synctest.Wait()
		old.Drain(func() { old.End(nil) })
		synctest.Wait()
		redeliver(b, next, event(t, "1", "k"), 2) // as T2 says: before later ones of its key
		for _, s := range b.settlements() {
			if s == "2 back" {
				redeliver(b, next, event(t, "2", "k"), 2)
			}
		}
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1", "2"}, tr.all())
		r.stopClean()
	})
}

// A pause that begins after a lease on a watermark stream began to drain must not keep the drain
// from ending.
func TestPauseDuringTheDrainOfALease(t *testing.T) {
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
		var released atomic.Bool
		lease.Drain(func() { released.Store(true) })
		r.consumer.Pause()
		time.Sleep(time.Minute)
		assert.True(t, released.Load())
		r.stopClean()
	})
}

func TestMisuse(t *testing.T) {
	b := newFakeBroker()
	ok := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	assert.NotPanics(t, func() {
		c := leat.NewConsumer(b, testSub, ok, &leat.ConsumerOptions{Middleware: []leat.Middleware{nil}})
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Run(t.Context(), c)))
	}, "nil middleware")
	assert.NotPanics(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		c := leat.NewConsumer(b, testSub, leat.HandlerFunc(nil), nil)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Run(ctx, c)))
	}, "nil HandlerFunc")
	assert.NotPanics(t, func() { assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Run(t.Context(), nil, nil))) }, "nil consumer")
	assert.NotPanics(t, func() {
		p := leat.NewProducer(nil, nil)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(p.Publish(t.Context(), "t", event(t, "1", ""))))
	}, "nil broker")
	assert.NotPanics(t, func() {
		leat.NewProducer(b, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{nil}})
	}, "nil publish middleware")
	assert.NotPanics(t, func() { _ = leat.Declare(t.Context(), nil, testSub) }, "Declare on nil")
}
