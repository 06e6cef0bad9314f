package lease_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

// TestGiveBackThatCannotBeSent: give-backs that wait until their terms are over are not held any
// more.
func TestGiveBackThatCannotBeSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := lease.New(lease.Options[string, int]{
			Term: term, MaxBatch: 1,
			Send: func(ctx context.Context, op lease.Op, batch []lease.Entry[string, int]) []error {
				if op == lease.GiveBack {
					<-ctx.Done()
				}
				return lease.All(len(batch), errBroken)
			},
		})
		for i := range 3 {
			m, _ := k.Take(fmt.Sprint(i), time.Now(), 1)
			k.GiveBack(m, 0)
		}
		time.Sleep(2 * term)
		synctest.Wait()
		require.Zero(t, k.Held())
		require.NoError(t, k.Close(t.Context()))
	})
}

// TestOldGiveBackStops: the give-back of an old delivery is not sent again when the message has
// come anew, since the broker might take it for the new delivery (L6).
func TestOldGiveBackStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		sent, err := 0, errBroken
		k := lease.New(lease.Options[string, int]{
			Term: term,
			Send: func(_ context.Context, op lease.Op, batch []lease.Entry[string, int]) []error {
				mu.Lock()
				defer mu.Unlock()
				if op == lease.GiveBack {
					sent++
				}
				return lease.All(len(batch), err)
			},
		})
		m, _ := k.Take("a", time.Now(), 1)
		k.GiveBack(m, 0)
		synctest.Wait()
		again, fresh := k.Take("a", time.Now(), 2)
		require.True(t, fresh)
		mu.Lock()
		require.Equal(t, 1, sent)
		err = nil
		mu.Unlock()
		time.Sleep(term / 2)
		mu.Lock()
		require.Equal(t, 1, sent)
		mu.Unlock()
		require.False(t, again.Lease().Ended())
		k.Ack(again)
		require.NoError(t, k.Close(t.Context()))
	})
}

// TestLossKeepsItsCause: a message that comes again while its lease is being lost does not change
// the cause, and Overdue says that Lost is not done.
func TestLossKeepsItsCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k *lease.Keeper[string, int]
		losses := 0
		k = lease.New(lease.Options[string, int]{
			Term: term,
			Send: func(_ context.Context, _ lease.Op, batch []lease.Entry[string, int]) []error {
				return lease.All(len(batch), nil)
			},
			Lost: func(*lease.Message[string, int], error) []*lease.Message[string, int] {
				if losses++; losses == 1 {
					k.Take("1", time.Now(), 2)
				}
				return nil
			},
		})
		m, _ := k.Take("1", time.Now(), 1)
		var ended error
		m.Lease().Attach(func(func()) {}, func(cause error) { ended = cause })
		k.ReturnAll(errReplaced)
		require.ErrorIs(t, ended, errReplaced)
		require.NoError(t, k.Close(t.Context()))
	})
}

// TestNothingOvertakesWhatIsLost: between the end of a lease and the look that notices it, a later
// event of the key is not delivered.
func TestNothingOvertakesWhatIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := newStreamed(t, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		s.errs["a"] = errBroken
		until := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))) }
		s.sends <- []leat.Event{keyed(t, "x", "l")}
		until(term / 20)
		s.sends <- []leat.Event{keyed(t, "y", "l")}
		until(term / 16)
		s.sends <- []leat.Event{keyed(t, "a", "k")}
		got := s.receive()
		require.Len(t, got, 3)
		until(term * 90 / 100)
		s.sends <- []leat.Event{keyed(t, "z", "l")}
		require.Len(t, s.receive(), 1)
		until(term*96/100 + term/200)
		synctest.Wait()
		require.True(t, got["a"].Lease.Ended())
		s.sends <- []leat.Event{keyed(t, "b", "k")}
		require.Empty(t, s.receive(), "b overtakes a")
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestNothingOvertakesWhatGoesBack: events that arrive behind one that is being given back come
// after it.
func TestNothingOvertakesWhatGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		taken := true
		sends := make(chan []leat.Event)
		s := lease.NewStream(lease.Options[string, int]{
			Term: term, MaxBatch: 100,
			Send: func(_ context.Context, op lease.Op, batch []lease.Entry[string, int]) []error {
				if op == lease.GiveBack {
					time.Sleep(100 * time.Millisecond) // the answer is slow
				}
				mu.Lock()
				defer mu.Unlock()
				if op == lease.Extend && taken {
					return lease.All(len(batch), lease.ErrTaken)
				}
				return nil
			},
		}, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		s.Start(func(_ context.Context, want lease.Want[string, int]) error {
			asked := time.Now()
			select {
			case events := <-sends:
				for _, e := range events {
					s.Arrived(e.ID(), 1, asked, &leat.Delivery{Event: e}, e.Size())
				}
			case <-want.Stop:
			}
			return nil
		})
		sends <- []leat.Event{keyed(t, "a", "k")}
		time.Sleep(term/2 + time.Second) // a is lost
		synctest.Wait()
		mu.Lock()
		taken = false
		mu.Unlock()
		sends <- []leat.Event{keyed(t, "d", "k"), keyed(t, "e", "k")} // both go back
		sends <- []leat.Event{keyed(t, "a", "k"), keyed(t, "d", "k"), keyed(t, "e", "k"), keyed(t, "f", "k")}
		time.Sleep(time.Second)
		sends <- []leat.Event{keyed(t, "d", "k"), keyed(t, "e", "k"), keyed(t, "f", "k")}
		time.Sleep(time.Second)
		var order []string
		for len(order) < 4 {
			into := make([]leat.Delivery, 10)
			n, err := s.Receive(t.Context(), into)
			require.NoError(t, err)
			for i := range into[:n] {
				if !into[i].Lease.Ended() {
					order = append(order, into[i].Event.ID())
				}
				s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
		}
		require.Equal(t, []string{"a", "d", "e", "f"}, order)
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestAskFails: requests that fail at once do not run hot, and the stream says what is wrong.
func TestAskFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asks, broken := 0, errBroken
		s := lease.NewStream(lease.Options[string, int]{
			Term: term, Send: func(context.Context, lease.Op, []lease.Entry[string, int]) []error { return nil },
		}, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		began := time.Now()
		s.Start(func(_ context.Context, want lease.Want[string, int]) error {
			mu.Lock()
			asks++
			err := broken
			mu.Unlock()
			if err == nil {
				<-want.Stop
			}
			return err
		})
		time.Sleep(10*time.Second + time.Millisecond)
		mu.Lock()
		require.Greater(t, asks, 10)
		require.Less(t, asks, 20)
		mu.Unlock()
		since, err := s.Failing()
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, began, since)
		mu.Lock()
		broken = nil
		mu.Unlock()
		time.Sleep(time.Second)
		require.NoError(t, s.Close(t.Context()))
		_, err = s.Failing()
		require.NoError(t, err)
	})
}
