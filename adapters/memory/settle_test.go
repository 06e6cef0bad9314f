package memory_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestT1AckedIsNotDeliveredAgain(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 3)...)
		ds := receive(t, s, 3)
		settle(s, ack, ds[1])
		settle(s, giveBack, ds[1]) // a second settlement counts for nothing
		settle(s, giveBack, ds[0], ds[2])
		settle(s, ack, ds[0])
		again := receive(t, s, 2)
		require.Equal(t, []string{"k-0", "k-2"}, ids(again))
		settle(s, ack, again...)
		require.NoError(t, b.ExpireLeases("orders", "billing"))
		nothing(t, s, time.Hour)
		requireDepth(t, b, 0, 0)
	})
}

func TestT2UnkeyedDelayIsExact(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, event(t, "a", "", 1), event(t, "b", "", 1), event(t, "c", "", 1))
		ds, start := receive(t, s, 3), time.Now()
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 20 * time.Second}, ds[0])
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 10 * time.Second}, ds[1])
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 1000 * time.Hour}, ds[2])
		requireDepth(t, b, 3, 0)
		for i, want := range []string{"b", "a", "c"} {
			d := receive(t, s, 1)
			require.Equal(t, []string{want}, ids(d))
			require.Equal(t, []time.Duration{10 * time.Second, 20 * time.Second, 24 * time.Hour}[i], time.Since(start))
			require.Equal(t, 2, d[0].Deliveries)
			settle(s, ack, d...)
		}
	})
}

func TestT2UnkeyedComesBackInFront(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, event(t, "a", "", 1), event(t, "b", "", 1), event(t, "c", "", 1))
		ds := receive(t, s, 2)
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: -time.Second}, ds[1])
		settle(s, giveBack, ds[0])
		require.Equal(t, []string{"a", "b", "c"}, ids(receive(t, s, 3)))
	})
}

func TestT2KeyedComesBackInOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 6)...)
		ds, start := receive(t, s, 4), time.Now()
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 10 * time.Second}, ds[2])
		nothing(t, s, time.Minute) // 4 and 5 wait, since 0, 1 and 3 may come back too
		settle(s, ack, ds[0])
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 20 * time.Second}, ds[1])
		nothing(t, s, time.Minute)
		settle(s, ack, ds[3])
		require.Equal(t, []string{"k-1", "k-2", "k-4", "k-5"}, ids(receive(t, s, 4)))
		require.Equal(t, 2*time.Minute, time.Since(start))
	})
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 3)...)
		ds, start := receive(t, s, 2), time.Now()
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 10 * time.Second}, ds[1])
		settle(s, leat.Settlement{Action: leat.GiveBack, Delay: 20 * time.Second}, ds[0])
		require.Equal(t, []string{"k-0", "k-1", "k-2"}, ids(receive(t, s, 3)))
		require.Equal(t, 20*time.Second, time.Since(start), "after the largest delay")
	})
}

func TestT2DelayOutlivesTheStream(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		one, two := open(t, b, unordered), open(t, b, unordered)
		publish(t, b, event(t, "a", "", 1))
		start := time.Now()
		settle(one, leat.Settlement{Action: leat.GiveBack, Delay: time.Minute}, receive(t, one, 1)...)
		require.NoError(t, one.Close(t.Context()))
		require.Equal(t, []string{"a"}, ids(receive(t, two, 1)))
		require.Equal(t, time.Minute, time.Since(start))
	})
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		one := open(t, b, billing)
		publish(t, b, event(t, "a", "k", 1))
		start := time.Now()
		settle(one, leat.Settlement{Action: leat.GiveBack, Delay: time.Minute}, receive(t, one, 1)...)
		require.NoError(t, one.Close(t.Context()))
		two := open(t, b, billing)
		require.Equal(t, []string{"a"}, ids(receive(t, two, 1)))
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestT3NativeRejectIsNotOffered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		require.False(t, s.Capabilities().NativeReject)
		publish(t, b, events(t, "k", 1)...)
		d := receive(t, s, 1)
		settle(s, leat.Settlement{Action: leat.NativeReject}, d...)
		s.Settle(&leat.Delivery{}, ack) // of nobody
		requireDepth(t, b, 0, 1)
		settle(s, ack, d...)
		requireDepth(t, b, 0, 0)
	})
}

func TestT4SettlementOfAnEndedLease(t *testing.T) {
	for _, key := range []string{"", "k"} {
		bubble(t, nil, func(t *testing.T, b *memory.Broker) {
			s := open(t, b, billing)
			publish(t, b, event(t, "a", key, 1), event(t, "b", key, 1))
			stale := receive(t, s, 2)
			late := false
			stale[0].Lease.Attach(func(func()) {}, func(error) { settle(s, ack, stale...); late = true })
			require.NoError(t, b.ExpireLeases("orders", "billing"))
			require.True(t, late)
			require.True(t, stale[0].Lease.Ended())
			again := receive(t, s, 2)
			require.Equal(t, []string{"a", "b"}, ids(again))
			require.Equal(t, 2, again[0].Deliveries)
			settle(s, ack, stale...)
			settle(s, giveBack, stale...)
			requireDepth(t, b, 0, 2)
			settle(s, ack, again...)
			// The entries are used again by now; what is stale must not hit the events that they
			// carry.
			publish(t, b, event(t, "c", key, 1), event(t, "d", key, 1))
			settle(s, ack, stale...)
			settle(s, ack, again...)
			next := receive(t, s, 2)
			settle(s, giveBack, again...)
			settle(s, ack, stale...)
			require.Equal(t, []string{"c", "d"}, ids(next))
			requireDepth(t, b, 0, 2)
		})
	}
}

func TestT5SettleAfterClose(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 2)...)
		ds := receive(t, s, 2)
		require.NoError(t, s.Close(t.Context()))
		settle(s, ack, ds[0])
		settle(s, giveBack, ds[1])
		requireDepth(t, b, 2, 0)
		require.Equal(t, []string{"k-0", "k-1"}, ids(receive(t, open(t, b, billing), 2)))
	})
}

func TestOneUnsettledEventHoldsNothingElse(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 1)...)
		first := receive(t, s, 1)
		one, into, done := events(t, "k", 1), make([]leat.Delivery, 1), func(int, error) {}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 20_000 {
			b.Publish(t.Context(), "orders", one, done)
			_, err := s.Receive(t.Context(), into)
			require.NoError(t, err)
			settle(s, ack, into...)
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(500_000), "what is settled behind it is used again")
		requireDepth(t, b, 0, 1)
		settle(s, ack, first...)
		time.Sleep(time.Minute) // a tick sweeps
		requireDepth(t, b, 0, 0)
	})
}

func TestSettleFromManyGoroutines(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		sub := billing
		sub.MaxInFlight = 8
		s := open(t, b, sub)
		var sent []leat.Event
		for i := range 2000 {
			sent = append(sent, event(t, "x", []string{"", "a", "b", "c"}[i%4], 1))
		}
		go func() {
			for _, e := range sent {
				assert.NoError(t, outcomes(context.Background(), t, b, "orders", e)[0])
			}
		}()
		var wg sync.WaitGroup
		work, acked := make(chan leat.Delivery), 0
		var mu sync.Mutex
		for range 4 {
			wg.Go(func() {
				for d := range work {
					if d.Deliveries == 1 && d.Position.Offset%5 == 0 {
						settle(s, giveBack, d)
						continue
					}
					settle(s, ack, d)
					mu.Lock()
					acked++
					mu.Unlock()
				}
			})
		}
		for range 2000 + 400 {
			work <- receive(t, s, 1)[0]
		}
		close(work)
		wg.Wait()
		synctest.Wait()
		require.Equal(t, 2000, acked)
		requireDepth(t, b, 0, 0)
	})
}
