package leat_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMaxInFlightCountsParkedEventsAndStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			return leat.RetryAfter(time.Hour, errBoom)
		}, &leat.ConsumerOptions{MaxInFlight: 10, StallAfter: time.Minute})
		lease := leat.NewLease()
		for i := range 25 {
			b.deliver(lease, event(t, fmt.Sprint(i), fmt.Sprint(i)))
		}
		time.Sleep(59 * time.Second)
		assert.Equal(t, 10, b.receivedCount())
		assert.Equal(t, leat.Healthy, r.consumer.Health().State)
		time.Sleep(2 * time.Second)
		h := r.consumer.Health()
		assert.Equal(t, leat.Stalled, h.State)
		require.Len(t, h.Problems, 1)
		assert.Equal(t, leat.CodeStalled, leat.CodeOf(h.Problems[0]))
		assert.ErrorContains(t, h.Problems[0], "10 of them parked; the oldest is here for 1m1s")
		s := r.consumer.Stats()
		assert.Equal(t, 10, s.InFlight)
		assert.Equal(t, 10, s.Parked)
		assert.Equal(t, 61*time.Second, s.OldestAge)
		assert.Equal(t, 10, b.sub.MaxInFlight, "the adapter is told the limit")
		r.stopClean()
	})
}

func TestFreedRoomIsUsedWhileOthersStayParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		handled := 0
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.Key() == "parked" {
				return leat.RetryAfter(time.Hour, errBoom)
			}
			handled++
			return nil
		}, &leat.ConsumerOptions{MaxInFlight: 100, Concurrency: 1})
		lease := leat.NewLease()
		for i := range 95 {
			b.deliver(lease, event(t, fmt.Sprint("p", i), "parked"))
		}
		for i := range 1000 {
			b.deliver(lease, event(t, fmt.Sprint(i), ""))
		}
		synctest.Wait()
		assert.Equal(t, 1000, handled)
		r.stopClean()
	})
}

func TestMaxInFlightBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		size := event(t, "000", "key").Size()
		r := start(t, b, func(context.Context, leat.Event) error {
			return leat.RetryAfter(time.Hour, errBoom)
		}, &leat.ConsumerOptions{MaxInFlightBytes: 3 * size})
		lease := leat.NewLease()
		for i := range 10 {
			b.deliver(lease, event(t, fmt.Sprintf("%03d", i), "key"))
			synctest.Wait()
		}
		assert.Equal(t, 3, r.consumer.Stats().InFlight)
		assert.Equal(t, 3*size, r.consumer.Stats().InFlightBytes)
		r.stopClean()
	})
}

func TestHealthShowsTheAdaptersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		c := leat.NewConsumer(b, testSub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), nil)
		assert.Equal(t, leat.Stopped, c.Health().State)
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, nil)
		assert.Equal(t, leat.Health{}, r.consumer.Health())
		b.mu.Lock()
		b.health = &leat.Error{Op: "connect", Code: leat.CodeUnavailable, Err: errBoom}
		b.mu.Unlock()
		h := r.consumer.Health()
		assert.Equal(t, leat.Degraded, h.State)
		assert.NotEmpty(t, h.Problems)
		r.stopClean()
	})
}
