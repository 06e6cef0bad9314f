package memory_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestC1StreamsEnd(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 1)...)
		h := hold(receive(t, s, 1)[0].Lease)
		ended := make(chan error)
		go func() {
			_, err := s.Receive(t.Context(), make([]leat.Delivery, 1))
			ended <- err
		}()
		synctest.Wait()
		require.NoError(t, b.Close())
		requireCode(t, leat.CodeClosed, <-ended)
		require.Equal(t, 1, h.ends)
		require.NoError(t, h.cause, "closed in order")
	})
}

func TestC2EverythingAfterCloseIsClosed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		require.NoError(t, b.Health())
		require.NoError(t, b.Close())
		require.NoError(t, b.Close())
		requireCode(t, leat.CodeClosed, b.Health())
		for _, topic := range []string{"orders", "new"} {
			for _, err := range outcomes(t.Context(), t, b, topic, events(t, "k", 2)...) {
				requireCode(t, leat.CodeClosed, err)
			}
			sub := leat.Subscription{Topic: topic, Group: "billing"}
			_, err := b.Subscribe(t.Context(), sub)
			requireCode(t, leat.CodeClosed, err)
			_, err = b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Broadcast: true})
			requireCode(t, leat.CodeClosed, err)
			requireCode(t, leat.CodeClosed, b.Declare(t.Context(), sub))
			requireCode(t, leat.CodeClosed, b.DeliverRaw(topic, leat.Malformed{}))
			requireCode(t, leat.CodeClosed, b.ExpireLeases(topic, "billing"))
			_, _, err = b.Depth(topic, "billing")
			requireCode(t, leat.CodeClosed, err)
		}
		_, err := s.Receive(t.Context(), make([]leat.Delivery, 1))
		requireCode(t, leat.CodeClosed, err)
		require.NoError(t, s.Close(t.Context()))
		b.Crash()
		b.StallLeases(false)
		s.StallLease(false)
	})
}

// TestC3NothingIsLeft relies on synctest, which fails when a goroutine is left; a timer that is
// left would fire into the checks.
func TestC3NothingIsLeft(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		subs := []leat.Subscription{billing, {Topic: "orders", Broadcast: true}, {Topic: "orders", Group: "u", Unordered: true}}
		var deliveries []leat.Delivery
		for _, sub := range subs {
			s := open(t, b, sub)
			publish(t, b, event(t, "a", "", 1), event(t, "b", "k", 1))
			ds := receive(t, s, 2)
			settle(s, leat.Settlement{Action: leat.GiveBack, Delay: time.Hour}, ds...)
			deliveries = append(deliveries, ds...)
		}
		require.NoError(t, b.Close())
		time.Sleep(48 * time.Hour)
		for _, d := range deliveries {
			require.True(t, d.Lease.Ended())
		}
	})
}

func TestCloseOfAStream(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		one, two := open(t, b, billing), open(t, b, billing)
		for i := range 40 {
			publish(t, b, event(t, "x", fmt.Sprint("key", i), 1))
		}
		into := make([]leat.Delivery, 40)
		n, err := one.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Less(t, n, 40, "the slots are shared")
		first := hold(into[0].Lease)
		require.NoError(t, one.Close(t.Context()))
		require.NoError(t, one.Close(t.Context()))
		require.Equal(t, 1, first.ends)
		require.NoError(t, first.cause)
		again := 0
		for _, d := range receive(t, two, 40) {
			if d.Deliveries == 2 {
				again++
			}
		}
		require.Equal(t, n, again)
	})
}

func TestCloseAtEveryMoment(t *testing.T) {
	for i := range 60 {
		bubble(t, &memory.Options{Buffer: 3}, func(t *testing.T, b *memory.Broker) {
			declare(t, b, billing)
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for {
						for _, err := range outcomes(t.Context(), t, b, "orders", events(t, "k", 4)...) {
							if leat.CodeOf(err) == leat.CodeClosed {
								return
							}
						}
						time.Sleep(70 * time.Microsecond)
					}
				})
				wg.Go(func() {
					for {
						s, err := b.Subscribe(t.Context(), billing)
						if err != nil {
							return
						}
						into := make([]leat.Delivery, 3)
						for range 5 {
							n, err := s.Receive(t.Context(), into)
							if err != nil {
								break
							}
							time.Sleep(30 * time.Microsecond)
							settle(s, ack, into[:n-1]...)
							settle(s, leat.Settlement{Action: leat.GiveBack, Delay: time.Duration(i%3) * time.Millisecond}, into[n-1])
						}
						_ = s.Close(t.Context())
					}
				})
			}
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			require.NoError(t, b.Close())
			wg.Wait()
		})
	}
}
