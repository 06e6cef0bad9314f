package leat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// queueError is what middleware.PoisonQueue returns when a publish fails with a code.
func queueError(code leat.Code, topic string) error {
	cause := &leat.Error{Op: "publish", Topic: topic, EventID: "bad", Code: code, Err: errBoom}
	return &leat.Error{Op: "poison", Topic: testPoisonTopic, Code: leat.CodePoisonQueue, Err: &leat.PublishError{
		Topic: topic, Total: 1, Failures: []leat.PublishFailure{{Err: cause}},
	}}
}

const testPoisonTopic = "orders.billing.poison"

// TestAnEventThatThePoisonQueueRefusesHoldsUpNoOther has 300 small malformed deliveries and another
// key behind one event that the queue cannot write.
func TestAnEventThatThePoisonQueueRefusesHoldsUpNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"invalid":                 {queueError(leat.CodeInvalid, testPoisonTopic), "mend what the error says"},
		"too large":               {queueError(leat.CodeTooLarge, testPoisonTopic), `raise the size that topic "orders.billing.poison" takes`},
		"unsupported":             {queueError(leat.CodeUnsupported, testPoisonTopic), "mend what the error says"},
		"permission denied":       {queueError(leat.CodePermissionDenied, testPoisonTopic), "allow the Producer of the poison queue to write"},
		"another topic not found": {queueError(leat.CodeNotFound, "elsewhere"), `create topic "elsewhere"`},
		"without a wrapper":       {&leat.Error{Op: "store", Code: leat.CodeTooLarge}, "raise the size that the poison topic takes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				var mended atomic.Bool
				var poisoned, tries atomic.Int64
				r := start(t, b, func(_ context.Context, e leat.Event) error {
					if e.ID() == "bad" {
						return leat.Reject(errBoom)
					}
					return nil
				}, &leat.ConsumerOptions{PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
					if p.Event.ID() == "bad" {
						if tries.Add(1); !mended.Load() {
							return c.err
						}
					}
					poisoned.Add(1)
					return nil
				})})
				lease := leat.NewLease()
				b.deliver(lease, event(t, "bad", "k"), event(t, "after", "k"))
				synctest.Wait()
				for i := range 300 {
					b.deliverRaw(leat.Delivery{Malformed: &leat.Malformed{Reason: errBoom}, Lease: lease, Position: leat.Position{ID: fmt.Sprint(i)}})
				}
				b.deliver(lease, event(t, "good", "j"))
				synctest.Wait()
				assert.EqualValues(t, 300, poisoned.Load(), "the others are in the poison queue at once")
				assert.Len(t, b.settlements(), 301)
				assert.NotContains(t, b.settlements(), "after ack", "the key of the event waits")
				time.Sleep(time.Hour)
				assert.Less(t, tries.Load(), int64(130), "it is tried again, and that is calm")
				assert.Greater(t, tries.Load(), int64(59), "it is tried again at least once a minute")
				assert.Equal(t, 1, r.consumer.Stats().PoisonRefused)
				h := r.consumer.Health()
				assert.Equal(t, leat.Degraded, h.State)
				require.Len(t, h.Problems, 1)
				assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(h.Problems[0]))
				require.ErrorContains(t, h.Problems[0], `refuses 1 rejected event, which stays unsettled; the oldest is `+
					`event "bad" of type "com.example.test" at position bad; `)
				require.ErrorContains(t, h.Problems[0], c.says)
				require.ErrorIs(t, h.Problems[0], c.err)

				mended.Store(true)
				time.Sleep(time.Minute)
				assert.Contains(t, b.settlements(), "bad ack")
				assert.Contains(t, b.settlements(), "after ack")
				assert.Zero(t, r.consumer.Stats().PoisonRefused)
				assert.Equal(t, leat.Healthy, r.consumer.Health().State)
				r.stopClean()
			})
		})
	}
}

// TestAPoisonQueueThatIsDownIsNoRefusal has codes that any event would get.
func TestAPoisonQueueThatIsDownIsNoRefusal(t *testing.T) {
	for name, err := range map[string]error{
		"no code": errBoom, "poison queue": &leat.Error{Code: leat.CodePoisonQueue, Err: errBoom}, "context": context.DeadlineExceeded,
		"poison topic not found": queueError(leat.CodeNotFound, testPoisonTopic),
		"unauthenticated":        queueError(leat.CodeUnauthenticated, testPoisonTopic),
		"unavailable":            queueError(leat.CodeUnavailable, testPoisonTopic),
		"unknown":                queueError(leat.CodeUnknown, testPoisonTopic),
		"exhausted":              queueError(leat.CodeExhausted, testPoisonTopic),
		"closed":                 queueError(leat.CodeClosed, testPoisonTopic),
		"canceled":               queueError(leat.CodeCanceled, testPoisonTopic),
		"conflict":               queueError(leat.CodeConflict, testPoisonTopic),
		"internal":               queueError(leat.CodeInternal, testPoisonTopic),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				var down atomic.Bool
				down.Store(true)
				var tries atomic.Int64
				r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
					&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
						if tries.Add(1); down.Load() {
							return err
						}
						return nil
					})})
				lease := leat.NewLease()
				for i := range 50 {
					b.deliver(lease, event(t, fmt.Sprint(i), ""))
				}
				time.Sleep(time.Minute)
				assert.Less(t, tries.Load(), int64(65), "one at a time tries whether it is up again")
				assert.Zero(t, r.consumer.Stats().PoisonRefused)
				h := r.consumer.Health()
				require.Len(t, h.Problems, 1)
				require.ErrorContains(t, h.Problems[0], "the poison queue fails")
				down.Store(false)
				time.Sleep(30 * time.Second)
				assert.Len(t, b.settlements(), 50, "all of them, as soon as one got through")
				assert.Equal(t, leat.Healthy, r.consumer.Health().State)
				r.stopClean()
			})
		})
	}
}

// TestAnEventWithWhichThePoisonQueueFailsIsNotAnOutage has an event that makes every publish of it
// fail with an error that tells nothing, as a broker does that closes the connection. The others
// must get through.
func TestAnEventWithWhichThePoisonQueueFailsIsNotAnOutage(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context) error{
		"at once": func(context.Context) error { return queueError(leat.CodeUnknown, testPoisonTopic) },
		"late": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"by a panic": func(context.Context) error { panic("this event") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				lease := leat.NewLease()
				began := time.Now()
				var worst time.Duration
				var poisoned int
				var mu sync.Mutex
				received := map[string]time.Time{}
				r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
					&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(ctx context.Context, p leat.Poisoned) error {
						if p.Event.ID() == "bad" {
							return fail(ctx)
						}
						mu.Lock()
						defer mu.Unlock()
						poisoned++
						if late := time.Since(received[p.Event.ID()]); time.Since(began) > 5*time.Minute {
							worst = max(worst, late)
						}
						return nil
					})})
				b.deliver(lease, event(t, "bad", ""))
				for i := range 600 {
					id := fmt.Sprint(i)
					mu.Lock()
					received[id] = time.Now()
					mu.Unlock()
					b.deliver(lease, event(t, id, ""))
					time.Sleep(time.Second)
				}
				mu.Lock()
				assert.Equal(t, 600, poisoned)
				assert.Zero(t, worst, "once the event has failed often enough it holds up nothing")
				mu.Unlock()
				assert.Equal(t, 1, r.consumer.Stats().PoisonRefused)
				assert.Equal(t, leat.Degraded, r.consumer.Health().State)
				r.stopClean()
				assert.Contains(t, b.settlements(), "bad back")
			})
		})
	}
}

// TestRefusedEventsHaveABound: up to half of MaxInFlight the Consumer goes on, beyond it is stalled
// and says why.
func TestRefusedEventsHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var mended atomic.Bool
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.Key() == "" {
				return leat.Reject(errBoom)
			}
			return nil
		}, &leat.ConsumerOptions{MaxInFlight: 10, PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
			if mended.Load() {
				return nil
			}
			return queueError(leat.CodePermissionDenied, testPoisonTopic)
		})})
		lease := leat.NewLease()
		for i := range 5 {
			b.deliver(lease, event(t, fmt.Sprint(i), ""))
		}
		synctest.Wait()
		b.deliver(lease, event(t, "good", "k"))
		synctest.Wait()
		assert.Equal(t, []string{"good ack"}, b.settlements())
		assert.Equal(t, leat.Degraded, r.consumer.Health().State)

		b.deliver(lease, event(t, "5", ""))
		synctest.Wait()
		b.deliver(lease, event(t, "later", "k")) // which a Receive that waits already still gets
		synctest.Wait()
		b.deliver(lease, event(t, "last", "k"))
		synctest.Wait()
		time.Sleep(time.Second)
		h := r.consumer.Health()
		assert.Equal(t, leat.Stalled, h.State)
		require.Len(t, h.Problems, 2)
		assert.Equal(t, leat.CodeStalled, leat.CodeOf(h.Problems[1]))
		require.ErrorContains(t, h.Problems[1], "the poison queue refuses 6 events, more than half of MaxInFlight (10)")
		assert.Less(t, len(b.settlements()), 3, "it does not receive")
		assert.NotContains(t, b.settlements(), "last ack")

		mended.Store(true)
		time.Sleep(time.Minute)
		assert.Len(t, b.settlements(), 9)
		assert.Equal(t, leat.Healthy, r.consumer.Health().State)
		r.stopClean()
	})
}

// TestSuccessorsPassARefusedEventWhereTheUserAsksForIt.
func TestSuccessorsPassARefusedEventWhereTheUserAsksForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.ID() == "bad" || e.ID() == "worse" {
				return leat.Reject(errBoom)
			}
			return nil
		}, &leat.ConsumerOptions{PassRefused: true, PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
			return queueError(leat.CodeTooLarge, testPoisonTopic)
		})})
		lease := leat.NewLease()
		b.deliver(lease, event(t, "bad", "k"), event(t, "1", "k"), event(t, "worse", "k"), event(t, "2", "k"))
		time.Sleep(10 * time.Minute)
		b.deliver(lease, event(t, "3", "k"))
		synctest.Wait()
		assert.Equal(t, []string{"1 ack", "2 ack", "3 ack"}, b.settlements())
		assert.Equal(t, 2, r.consumer.Stats().PoisonRefused)
		lease.End(errors.New("rebalanced"))
		synctest.Wait()
		assert.Zero(t, r.consumer.Stats().PoisonRefused)
		assert.Zero(t, r.consumer.Stats().InFlight)
		r.stopClean()
	})
}
