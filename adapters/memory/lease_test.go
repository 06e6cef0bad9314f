package memory_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// spread publishes one event for each of count keys.
func spread(t *testing.T, b *memory.Broker, count int) {
	t.Helper()
	for i := range count {
		publish(t, b, event(t, fmt.Sprintf("e%d", i), fmt.Sprintf("key-%d", i), 1))
	}
}

// poll receives what is there now.
func poll(t *testing.T, s leat.Stream) (ds []leat.Delivery) {
	t.Helper()
	for {
		got := make(chan []leat.Delivery, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			into := make([]leat.Delivery, 100)
			n, _ := s.Receive(ctx, into)
			got <- into[:n]
		}()
		synctest.Wait()
		cancel()
		more := <-got
		if len(more) == 0 {
			return ds
		}
		ds = append(ds, more...)
	}
}

func TestR3SlotsMoveWhenAStreamJoins(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		const keys = 1500 // enough that no slot is empty
		sub := billing
		sub.MaxInFlight = 10 * keys
		one := open(t, b, sub)
		spread(t, b, keys)
		before := poll(t, one)
		require.Len(t, before, keys)
		holders := map[*leat.Lease]*holder{}
		for _, d := range before {
			if holders[d.Lease] == nil {
				holders[d.Lease] = hold(d.Lease)
			}
		}
		two := open(t, b, sub)
		var moving []*leat.Lease
		for l := range holders {
			if l.Draining() {
				moving = append(moving, l)
			}
		}
		require.Len(t, moving, 32, "half of the slots move, and no more")
		require.Empty(t, poll(t, two), "what drains is still the old owner's")

		// New events of a slot that drains wait; those of the others do not.
		spread(t, b, keys)
		again := poll(t, one)
		for _, d := range again {
			require.False(t, d.Lease.Draining())
		}
		require.Empty(t, poll(t, two))

		// The old owner settles one event, leaves the others, and lets go of a slot.
		settled := ""
		for _, d := range before {
			if d.Lease == moving[0] && settled == "" {
				settled = d.Event.ID()
				settle(one, ack, d)
			}
		}
		holders[moving[0]].let(t)
		require.Equal(t, 1, holders[moving[0]].ends)
		require.NoError(t, holders[moving[0]].cause)
		moved := poll(t, two)
		require.NotEmpty(t, moved, "one slot moves while the others drain")
		last, old := int64(-1), true
		for _, d := range moved {
			require.Greater(t, d.Position.Offset, last, "in order")
			last = d.Position.Offset
			require.False(t, d.Deliveries == 2 && !old, "what was taken back comes first")
			old = d.Deliveries == 2
			require.False(t, old && d.Event.ID() == settled)
		}
		for _, l := range moving[1:] {
			holders[l].let(t)
			holders[l].let(t) // a second release does nothing
		}
		require.Len(t, poll(t, two), 2*keys-len(again)-1-len(moved)-countKept(before, moving))
	})
}

// countKept counts deliveries whose lease is not in moving.
func countKept(ds []leat.Delivery, moving []*leat.Lease) (n int) {
	for _, d := range ds {
		kept := true
		for _, l := range moving {
			kept = kept && d.Lease != l
		}
		if kept {
			n++
		}
	}
	return n
}

func TestR3SlotsReturnWhenAStreamLeaves(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		one, two, three := open(t, b, billing), open(t, b, billing), open(t, b, billing)
		spread(t, b, 500)
		d1, d2, d3 := poll(t, one), poll(t, two), poll(t, three)
		require.Len(t, append(append(d1, d2...), d3...), 500)
		for _, n := range []int{len(d1), len(d2), len(d3)} {
			require.InDelta(t, 166, n, 100, "slots are spread evenly")
		}
		settle(two, ack, d2...)
		require.NoError(t, two.Close(t.Context()))
		require.Empty(t, poll(t, one))
		settle(three, ack, d3[1:]...)
		require.NoError(t, three.Close(t.Context()))
		require.Equal(t, ids(d3[:1]), ids(poll(t, one)))
		require.NoError(t, one.Close(t.Context()))
		requireDepth(t, b, len(d1)+1, 0)
	})
}

func TestMoreStreamsThanSlots(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		var streams []*memory.Stream
		for range 70 {
			streams = append(streams, open(t, b, billing))
		}
		spread(t, b, 1000)
		total, without := 0, 0
		for _, s := range streams {
			n := len(poll(t, s))
			total += n
			if n == 0 {
				without++
			}
		}
		require.Equal(t, 1000, total)
		require.GreaterOrEqual(t, without, 6, "these stand by")
	})
}

func TestLeaseIsExtended(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 1)...)
		d := receive(t, s, 1)
		time.Sleep(24 * time.Hour)
		require.False(t, d[0].Lease.Ended())
		settle(s, ack, d...)
		requireDepth(t, b, 0, 0)
	})
}

func TestStalledLeaseExpires(t *testing.T) {
	for _, key := range []string{"", "k"} {
		bubble(t, &memory.Options{LeaseDuration: 10 * time.Second}, func(t *testing.T, b *memory.Broker) {
			one := open(t, b, billing)
			publish(t, b, event(t, "a", key, 1), event(t, "b", key, 1))
			ds := receive(t, one, 2)
			h := hold(ds[0].Lease)
			one.StallLease(true)
			time.Sleep(10*time.Second - 1)
			require.Zero(t, h.ends)
			require.NoError(t, one.Health())
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			require.Equal(t, 1, h.ends)
			requireCode(t, leat.CodeLeaseLost, h.cause)
			requireCode(t, leat.CodeLeaseLost, one.Health())
			settle(one, ack, ds...)
			requireDepth(t, b, 2, 0)
			nothing(t, one, time.Minute) // it has no lease

			one.StallLease(false)
			require.NoError(t, one.Health())
			again := receive(t, one, 2)
			require.Equal(t, []string{"a", "b"}, ids(again))
			require.Equal(t, 2, again[0].Deliveries)
			require.NotSame(t, ds[0].Lease, again[0].Lease)

			b.StallLeases(true)
			two := open(t, b, billing)
			two.StallLease(false) // the whole broker stalls
			time.Sleep(time.Minute)
			requireDepth(t, b, 2, 0)
			b.StallLeases(false)
			require.Len(t, append(poll(t, one), poll(t, two)...), 2)
			time.Sleep(time.Minute)
			requireDepth(t, b, 0, 2)
		})
	}
}

func TestAnotherStreamTakesOverAnExpiredLease(t *testing.T) {
	bubble(t, &memory.Options{LeaseDuration: 10 * time.Second}, func(t *testing.T, b *memory.Broker) {
		one, two := open(t, b, billing), open(t, b, billing)
		spread(t, b, 100)
		d1, d2 := poll(t, one), poll(t, two)
		one.StallLease(true)
		time.Sleep(15 * time.Second)
		again := poll(t, two)
		require.ElementsMatch(t, ids(d1), ids(again))
		settle(one, ack, d1...)
		requireDepth(t, b, 0, 100)
		settle(two, ack, again...)
		settle(two, ack, d2...)
		requireDepth(t, b, 0, 0)
	})
}

func TestCrash(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		one, two := open(t, b, billing), open(t, b, billing)
		cast := open(t, b, leat.Subscription{Topic: "orders", Broadcast: true})
		spread(t, b, 100)
		publish(t, b, event(t, "u", "", 1))
		d1, d2, dc := poll(t, one), poll(t, two), receive(t, cast, 50)
		h := hold(d1[0].Lease)
		settle(one, ack, d1[1:]...)
		b.Crash()
		require.Equal(t, 1, h.ends)
		requireCode(t, leat.CodeUnavailable, h.cause)
		settle(one, ack, d1[0])
		require.Equal(t, ids(d1[:1]), ids(poll(t, one)), "each keeps its slots")
		require.ElementsMatch(t, ids(d2), ids(poll(t, two)))
		rest := poll(t, cast)
		require.Len(t, append(dc, rest...), 101, "a broadcast loses what was not settled and keeps what was not delivered")
		for _, d := range rest {
			require.Equal(t, 1, d.Deliveries)
		}
	})
}

func TestCrashEndsADrain(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		one := open(t, b, billing)
		spread(t, b, 300)
		var holders []*holder
		seen := map[*leat.Lease]bool{}
		for _, d := range poll(t, one) {
			if !seen[d.Lease] {
				seen[d.Lease] = true
				holders = append(holders, hold(d.Lease))
			}
		}
		two := open(t, b, billing)
		b.Crash()
		require.Len(t, append(poll(t, one), poll(t, two)...), 300)
		for _, h := range holders {
			require.Equal(t, 1, h.ends)
			if h.release != nil {
				h.release() // too late to matter
			}
		}
		requireDepth(t, b, 0, 300)
	})
}

func TestControlsOfUnknownGroups(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		requireCode(t, leat.CodeNotFound, b.ExpireLeases("orders", "billing"))
		publish(t, b, events(t, "k", 1)...)
		requireCode(t, leat.CodeNotFound, b.ExpireLeases("orders", "billing"))
		_, _, err := b.Depth("orders", "billing")
		requireCode(t, leat.CodeNotFound, err)
	})
}
