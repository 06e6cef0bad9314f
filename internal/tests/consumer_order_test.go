package leat_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEventsOfOneKeyRunInOrderAndDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		const keys, perKey = 50, 40
		var mu sync.Mutex
		runs, most := 0, 0
		busy := map[string]bool{}
		seen := map[string][]string{}
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			mu.Lock()
			assert.False(t, busy[e.Key()], "two handlers run for key %s", e.Key())
			busy[e.Key()] = true
			runs++
			most = max(most, runs)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			runs--
			busy[e.Key()] = false
			seen[e.Key()] = append(seen[e.Key()], e.ID())
			return nil
		}, &leat.ConsumerOptions{Concurrency: 64})
		for i := range perKey {
			for k := range keys {
				b.deliver(lease, event(t, fmt.Sprintf("%02d", i), fmt.Sprintf("key%d", k)))
			}
		}
		time.Sleep(time.Minute)
		r.stopClean()
		require.Len(t, seen, keys)
		for key, ids := range seen {
			require.Len(t, ids, perKey, key)
			require.IsIncreasing(t, ids, key)
		}
		assert.Equal(t, keys, most, "every key should have its handler at the same time")
		assert.Len(t, b.settlements(), keys*perKey)
	})
}

func TestEventsWithoutKeyRunAtOnceUpToConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			time.Sleep(time.Second)
			tr.at("%s", e.ID())
			return nil
		}, &leat.ConsumerOptions{Concurrency: 3})
		for i := range 7 {
			b.deliver(lease, event(t, fmt.Sprint(i), ""))
		}
		time.Sleep(time.Minute)
		waves := map[string]int{}
		for _, line := range tr.all() {
			waves[line[:2]]++
		}
		assert.Equal(t, map[string]int{"1s": 3, "2s": 3, "3s": 1}, waves)
		r.stopClean()
	})
}

func TestUnorderedSubscriptionIgnoresKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		ctx, cancel := context.WithCancel(t.Context())
		sub := testSub
		sub.Unordered = true
		begun := make(chan struct{}, 2)
		c := leat.NewConsumer(b, sub, leat.HandlerFunc(func(context.Context, leat.Event) error {
			begun <- struct{}{}
			time.Sleep(time.Second)
			return nil
		}), nil)
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, c) }()
		b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"))
		synctest.Wait()
		assert.Len(t, begun, 2, "both events of the key should run at once")
		cancel()
		require.NoError(t, <-result)
	})
}

func TestParkedKeyDoesNotHoldUpOthersAndKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			if e.ID() == "a1" && info.Attempt <= 2 {
				return leat.RetryAfter(10*time.Second, errBoom)
			}
			tr.at("%s attempt %d", e.ID(), info.Attempt)
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1})
		b.deliver(lease, event(t, "a1", "a"), event(t, "a2", "a"), event(t, "b1", "b"), event(t, "c1", ""))
		time.Sleep(15 * time.Second)
		b.deliver(lease, event(t, "a3", "a"), event(t, "b2", "b"))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{
			"0s b1 attempt 1", "0s c1 attempt 1", "15s b2 attempt 1", "20s a1 attempt 3", "20s a2 attempt 1", "20s a3 attempt 1",
		}, tr.all())
		r.stopClean()
		assert.Equal(t, []string{"b1 ack", "c1 ack", "b2 ack", "a1 ack", "a2 ack", "a3 ack"}, b.settlements())
		s := r.consumer.Stats()
		assert.EqualValues(t, 6, s.Received)
		assert.EqualValues(t, 6, s.Handled)
		assert.EqualValues(t, 2, s.Retried)
		assert.Zero(t, s.InFlight)
	})
}
