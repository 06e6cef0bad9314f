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
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests run Producer, Consumer and middleware together on the in-memory broker.

func TestEveryGroupGetsEveryEventAndItsMembersShareThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		producer := leat.NewProducer(broker, nil)
		var mu sync.Mutex
		got := map[string]map[string]int{} // by group: how often each event was handled
		ctx, stop := context.WithCancel(t.Context())
		var consumers []*leat.Consumer
		for _, group := range []string{"billing", "billing", "audit"} {
			got[group] = map[string]int{}
			consumers = append(consumers, leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: group},
				leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
					mu.Lock()
					defer mu.Unlock()
					got[group][e.ID()]++
					return nil
				}), nil))
		}
		result := make(chan error, len(consumers))
		for _, c := range consumers { // members are refused in one Run
			go func() { result <- leat.Run(ctx, c) }()
		}
		synctest.Wait()
		for i := range 500 {
			require.NoError(t, producer.Publish(ctx, "orders", event(t, fmt.Sprint(i), fmt.Sprint(i%30))))
		}
		time.Sleep(time.Second)
		stop()
		for range consumers {
			require.NoError(t, <-result)
		}
		for group, ids := range got {
			assert.Len(t, ids, 500, group)
			for id, n := range ids {
				assert.Equal(t, 1, n, "event %s in group %s", id, group)
			}
		}
		for i, c := range consumers {
			assert.NotZero(t, c.Stats().Handled, "member %d did nothing", i)
		}
		require.NoError(t, broker.Close())
	})
}

func TestBroadcastReachesEveryProcessFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		producer := leat.NewProducer(broker, nil)
		require.NoError(t, producer.Publish(t.Context(), "flags", event(t, "before", "")))
		var mu sync.Mutex
		var got []string
		ctx, stop := context.WithCancel(t.Context())
		var consumers []*leat.Consumer
		for i := range 3 {
			consumers = append(consumers, leat.NewConsumer(broker, leat.Subscription{Topic: "flags", Broadcast: true},
				leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, fmt.Sprintf("%d %s", i, e.ID()))
					return nil
				}), nil))
		}
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, consumers...) }()
		synctest.Wait()
		require.NoError(t, producer.Publish(ctx, "flags", event(t, "after", "")))
		synctest.Wait()
		stop()
		require.NoError(t, <-result)
		assert.ElementsMatch(t, []string{"0 after", "1 after", "2 after"}, got)
		require.NoError(t, broker.Close())
	})
}

func TestRollingRestartsHandleEachEventOnceAndPoisonNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		producer := leat.NewProducer(broker, nil)
		require.NoError(t, leat.Declare(t.Context(), broker, testSub))
		var mu sync.Mutex
		handled := map[string]int{}
		byKey := map[string][]string{}
		startMember := func() *running {
			return start(t, broker, func(ctx context.Context, e leat.Event) error {
				time.Sleep(7 * time.Millisecond)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				handled[e.ID()]++
				byKey[e.Key()] = append(byKey[e.Key()], e.ID())
				return nil
			}, &leat.ConsumerOptions{
				Concurrency: 8, Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2})},
				PoisonQueue: middleware.PoisonQueue(producer, nil),
			})
		}
		members := []*running{startMember(), startMember()}
		total := 0
		for range 10 {
			for range 100 {
				require.NoError(t, producer.Publish(t.Context(), "orders", event(t, fmt.Sprintf("%04d", total), fmt.Sprint("k", total%13))))
				total++
			}
			time.Sleep(20 * time.Millisecond)
			members[0].stopClean()
			members = append(members[1:], startMember())
		}
		time.Sleep(time.Minute)
		for _, m := range members {
			assert.Zero(t, m.consumer.Stats().Poisoned)
			m.stopClean()
		}
		assert.Len(t, handled, total)
		for id, n := range handled {
			assert.Equal(t, 1, n, "event %s", id)
		}
		for key, ids := range byKey {
			assert.IsIncreasing(t, ids, key)
		}
		require.NoError(t, broker.Close())
	})
}

func TestPoisonQueueKeepsEventsForAReplayThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		producer := leat.NewProducer(broker, nil)
		r := start(t, broker, func(context.Context, leat.Event) error { return errors.New("card\ndeclined") },
			&leat.ConsumerOptions{
				Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3})},
				PoisonQueue: middleware.PoisonQueue(producer, nil),
			})
		sent := event(t, "order-7", "customer-1")
		require.NoError(t, producer.Publish(t.Context(), "orders", sent))
		require.NoError(t, broker.DeliverRaw("orders", leat.Malformed{Body: []byte{0xff, 0}, Key: []byte("customer-1"), Reason: errBoom}))
		time.Sleep(time.Hour)
		assert.EqualValues(t, 2, r.consumer.Stats().Poisoned)
		assert.EqualValues(t, 2, r.consumer.Stats().Retried)
		r.stopClean()

		var replayed []leat.Event
		sub := leat.Subscription{Topic: leat.PoisonTopic("orders", "billing"), Group: leat.ReplayGroup}
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			result <- leat.Run(ctx, leat.NewConsumer(broker, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
				replayed = append(replayed, e)
				return nil
			}), &leat.ConsumerOptions{Concurrency: 1}))
		}()
		synctest.Wait()
		stop()
		require.NoError(t, <-result)
		require.Len(t, replayed, 2)
		for _, e := range replayed {
			p, err := leat.PoisonedFrom(e)
			require.NoError(t, err)
			assert.Equal(t, "orders", p.Info.Topic)
			assert.Equal(t, "billing", p.Info.Group)
			if p.Malformed != nil {
				assert.Equal(t, []byte{0xff, 0}, p.Malformed.Body)
				assert.Equal(t, []byte("customer-1"), p.Malformed.Key)
				continue
			}
			assert.Contains(t, p.Reason.Error(), `card\ndeclined`, "escaped")
			assert.Equal(t, 3, p.Info.Attempt)
			want, err := sent.MarshalJSON()
			require.NoError(t, err)
			assert.True(t, p.Event.Equal(middleware.Original(e)))
			got, err := p.Event.MarshalJSON()
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got), "the original comes back unchanged")
		}
		require.NoError(t, broker.Close())
	})
}

func TestHandlerThatPublishesToItsOwnFullTopicIsRefusedInsteadOfBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(&memory.Options{Buffer: 2, FullTimeout: 10 * time.Second})
		producer := leat.NewProducer(broker, nil)
		var refused error
		r := start(t, broker, func(ctx context.Context, e leat.Event) error {
			if e.ID() == "first" {
				for i := 0; i < 10 && refused == nil; i++ {
					refused = producer.Publish(ctx, "orders", event(t, fmt.Sprint("more", i), ""))
				}
			}
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1, MaxInFlight: 1})
		began := time.Now()
		require.NoError(t, producer.Publish(t.Context(), "orders", event(t, "first", "")))
		time.Sleep(time.Minute)
		r.stopClean()
		assert.Equal(t, leat.CodeExhausted, leat.CodeOf(refused))
		assert.True(t, leat.Retryable(refused))
		assert.Less(t, time.Since(began), 2*time.Minute)
		require.NoError(t, broker.Close())
	})
}

func TestClosedBrokerEndsTheConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		r := start(t, broker, func(context.Context, leat.Event) error { return nil }, nil)
		require.NoError(t, broker.Close())
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(<-r.result))
		err := leat.Run(t.Context(), r.consumer)
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(err))
	})
}

func TestRetryGivesUpOnAHandlerThatAlwaysPanicsOrLeaves(t *testing.T) {
	for _, how := range []string{"panic", "goexit"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := memory.New(nil)
				producer := leat.NewProducer(broker, nil)
				var calls atomic.Int64
				var seen []string
				r := start(t, broker, func(context.Context, leat.Event) error {
					calls.Add(1)
					crash(how)
					return nil
				}, &leat.ConsumerOptions{
					Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3})},
					PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
						seen = append(seen, fmt.Sprint(p.Info.Attempt, " ", p.Reason))
						return nil
					}),
				})
				require.NoError(t, producer.Publish(t.Context(), "orders", event(t, "1", "k")))
				time.Sleep(time.Hour)
				r.stopClean()
				assert.EqualValues(t, 3, calls.Load())
				require.Len(t, seen, 1)
				assert.Contains(t, seen[0], "3 gave up after 3 attempts")
				assert.Contains(t, seen[0], how[1:])
				assert.EqualValues(t, 2, r.consumer.Stats().Retried)
				require.NoError(t, broker.Close())
			})
		})
	}
}

func TestPanicOfAMiddlewareIsAnErrorOfTheAttempt(t *testing.T) {
	for _, how := range []string{"panic", "goexit"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				var calls atomic.Int64
				r := start(t, b, func(context.Context, leat.Event) error { return nil },
					&leat.ConsumerOptions{Middleware: []leat.Middleware{func(next leat.Handler) leat.Handler {
						return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
							if calls.Add(1) <= 4 {
								crash(how)
							}
							return next.Handle(ctx, e)
						})
					}}})
				b.deliver(leat.NewLease(), event(t, "1", "k"))
				time.Sleep(time.Hour)
				r.stopClean()
				assert.Equal(t, []string{"1 ack"}, b.settlements())
				assert.LessOrEqual(t, calls.Load(), int64(6))
			})
		})
	}
}

func TestStoppingWhileStartingIsNoFailure(t *testing.T) {
	broker := memory.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	handle := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	require.NoError(t, leat.Run(ctx, leat.NewConsumer(broker, testSub, handle, nil)))
	require.NoError(t, broker.Close())
}
