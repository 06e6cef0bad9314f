package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

// TestWhatIsNotHeldMakesRoom: whatever ends what is held, a Receive that waits has the stream ask
// again, also when that takes a moment.
func TestWhatIsNotHeldMakesRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keeper lease.Options[string, int]
		how    leat.Settlement
	}{
		"an ack that is never confirmed": {
			lease.Options[string, int]{Send: func(_ context.Context, _ lease.Op, batch []entry) []error {
				return lease.All(len(batch), errBroken)
			}}, leat.Settlement{Action: leat.Ack},
		},
		"a give-back that is not sent any more": {
			lease.Options[string, int]{Linger: term / 2, Send: func(ctx context.Context, op lease.Op, batch []entry) []error {
				if op != lease.Extend {
					return nil
				}
				<-ctx.Done()
				return lease.All(len(batch), ctx.Err())
			}}, leat.Settlement{Action: leat.GiveBack},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := startSeveral(c.keeper, book.Options{MaxInFlight: 1, MaxInFlightBytes: 1 << 20, KeylessLeave: true})
				e := keyed(t, "a", "")
				got := s.receive(t)
				s.answers <- answer{events: []leat.Event{e}}
				deliveries := got()
				deliveries[0].Lease.Attach(func(func()) {}, func(error) { time.Sleep(time.Millisecond) })
				time.Sleep(term * 85 / 100)
				require.False(t, deliveries[0].Lease.Ended())
				s.Settle(&deliveries[0], c.how)
				got = s.receive(t)
				time.Sleep(10 * term)
				synctest.Wait()
				require.Len(t, s.open, 1, "there is room, somebody receives, and nothing is asked for")
				s.answers <- answer{} // it is too old to bring something
				s.answers <- answer{events: []leat.Event{e}}
				got()
				require.NoError(t, s.Close(t.Context()))
			})
		})
	}
}

// TestAwaitSeesALoss: the end of an event that is lost makes room for what is pushed, and Await
// says that the ask is to end where the stream keeps order.
func TestAwaitSeesALoss(t *testing.T) {
	t.Parallel()
	for name, unordered := range map[string]bool{"without order": true, "with order": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				broken := func(_ context.Context, _ lease.Op, batch []entry) []error { return lease.All(len(batch), errBroken) }
				s := lease.NewStream(lease.Options[string, int]{Term: term, Send: broken},
					book.Options{MaxInFlight: 1, MaxInFlightBytes: 1 << 20, Unordered: unordered})
				e, room := keyed(t, "a", "a"), make(chan bool, 10)
				s.Start(func(ctx context.Context, want lease.Want[string, int]) error {
					s.Arrived("a", 1, time.Now(), &leat.Delivery{Event: e}, e.Size())
					room <- s.Await(ctx)
					<-want.Stop
					return nil
				})
				into := make([]leat.Delivery, 1)
				_, err := s.Receive(t.Context(), into)
				require.NoError(t, err)
				into[0].Lease.Attach(func(func()) {}, func(error) { time.Sleep(time.Millisecond) })
				time.Sleep(2 * term)
				synctest.Wait()
				require.Len(t, room, 1)
				require.Equal(t, unordered, <-room)
				require.NoError(t, s.Close(t.Context()))
			})
		})
	}
}

// TestCrowded: acks count as held until they are confirmed, and are no reason to ask for less.
func TestCrowded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 2
		s := newStreamed(t, book.Options{MaxInFlight: most, MaxInFlightBytes: 1 << 20})
		s.errs["a"] = errBroken // its ack is not confirmed
		s.sends <- []leat.Event{keyed(t, "a", "1"), keyed(t, "b", "2")}
		synctest.Wait()
		held := s.receive()
		require.False(t, s.Crowded())
		a := held["a"]
		s.Settle(&a, leat.Settlement{Action: leat.Ack})
		synctest.Wait()
		s.Arrived("c", 1, time.Now(), &leat.Delivery{Event: keyed(t, "c", "3")}, 1)
		require.False(t, s.Crowded(), "the broker may have the ack")
		events, _ := s.Room()
		require.Negative(t, events)
		s.Arrived("d", 1, time.Now(), &leat.Delivery{Event: keyed(t, "d", "4")}, 1)
		require.True(t, s.Crowded())
		require.NoError(t, s.Close(t.Context()))
	})
}
