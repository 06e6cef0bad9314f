package lease_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

// streamed is a stream whose broker sends what a test puts into its channel.
type streamed struct {
	*lease.Stream[string, int]

	t     *testing.T
	sends chan []leat.Event
	slow  time.Duration // how long a request outlasts its Stop

	mu    sync.Mutex
	wants []lease.Want[string, int]
	told  map[string][]lease.Op
	errs  map[string]error // of Send, by message
}

func newStreamed(t *testing.T, o book.Options) *streamed {
	t.Helper()
	s := &streamed{
		t: t, sends: make(chan []leat.Event), told: map[string][]lease.Op{}, errs: map[string]error{},
	}
	s.Stream = lease.NewStream(lease.Options[string, int]{Term: term, Send: s.send}, o)
	s.Start(s.ask)
	return s
}

func (s *streamed) ask(ctx context.Context, want lease.Want[string, int]) error {
	s.mu.Lock()
	s.wants = append(s.wants, want)
	s.mu.Unlock()
	asked := time.Now()
	select {
	case events := <-s.sends:
		for _, e := range events {
			s.Arrived(e.ID(), 1, asked, &leat.Delivery{Event: e}, e.Size())
		}
	case <-want.Stop:
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *streamed) send(_ context.Context, op lease.Op, batch []entry) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(batch))
	for i, e := range batch {
		s.told[e.ID] = append(s.told[e.ID], op)
		errs[i] = s.errs[e.ID]
	}
	return errs
}

// last returns what was last asked for, and how often there was a request.
func (s *streamed) last() (lease.Want[string, int], int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wants[len(s.wants)-1], len(s.wants)
}

// receive returns what there is, by id.
func (s *streamed) receive() map[string]leat.Delivery {
	synctest.Wait()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Millisecond)
	defer cancel()
	got, into := map[string]leat.Delivery{}, make([]leat.Delivery, 1)
	for {
		n, err := s.Receive(ctx, into)
		if err != nil {
			require.Equal(s.t, leat.CodeCanceled, leat.CodeOf(err))
			return got
		}
		require.Equal(s.t, 1, n)
		require.NotContains(s.t, got, into[0].Event.ID())
		got[into[0].Event.ID()] = into[0]
	}
}

func (s *streamed) ops(id string) []lease.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told[id])
}

// keyed returns an event. Its size does not depend on id and key, of a byte each.
func keyed(t *testing.T, id, key string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s", Key: key})
	require.NoError(t, err)
	return e
}

// TestStreamAsksForWhatHasRoom: R5 counts what is held, and acks that the broker has not confirmed.
func TestStreamAsksForWhatHasRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		size := keyed(t, "a", "k").Size()
		s := newStreamed(t, book.Options{MaxInFlight: 2, MaxInFlightBytes: 10 * size})
		s.sends <- []leat.Event{keyed(t, "a", "k")}
		synctest.Wait()
		asked, _ := s.last()
		require.Equal(t, 1, asked.Events)
		require.Equal(t, 9*size, asked.Bytes)
		require.Len(t, asked.Held, 1)
		require.Equal(t, "a", asked.Held[0].ID)

		s.sends <- []leat.Event{keyed(t, "b", "l")}
		synctest.Wait()
		_, before := s.last()
		require.Equal(t, 2, before, "there is no room for another request")
		got := s.receive()
		require.Len(t, got, 2)
		d := got["b"]
		s.Settle(&d, leat.Settlement{Action: leat.Ack})
		synctest.Wait()
		asked, n := s.last()
		require.Equal(t, 3, n)
		require.Equal(t, 1, asked.Events)
		require.Equal(t, []lease.Op{lease.Ack}, s.ops("b"))
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, []lease.Op{lease.GiveBack}, s.ops("a"))
	})
}

// TestStreamWithoutBytes: a stream that holds as many bytes as it may asks for nothing.
func TestStreamWithoutBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreamed(t, book.Options{MaxInFlight: 5, MaxInFlightBytes: keyed(t, "a", "k").Size()})
		s.sends <- []leat.Event{keyed(t, "a", "k")}
		synctest.Wait()
		_, n := s.last()
		require.Equal(t, 1, n)
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestStreamLoss: a lost message takes later ones of its key with it. What a request brings that
// began before the loss goes back, since it would overtake what was lost.
func TestStreamLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreamed(t, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		s.errs["a"] = lease.ErrTaken
		s.sends <- []leat.Event{keyed(t, "a", "k"), keyed(t, "b", "k"), keyed(t, "c", "l")}
		got := s.receive()
		require.Len(t, got, 3)
		_, asked := s.last()
		time.Sleep(term / 2) // the extension of a is refused
		synctest.Wait()
		require.True(t, got["a"].Lease.Ended())
		require.True(t, got["b"].Lease.Ended(), "it would be handled before a")
		require.False(t, got["c"].Lease.Ended())
		_, n := s.last()
		require.Equal(t, asked, n, "a request is under way")

		s.mu.Lock()
		clear(s.errs)
		s.mu.Unlock()
		s.sends <- []leat.Event{keyed(t, "d", "k")}
		require.Empty(t, s.receive())
		require.Contains(t, s.ops("d"), lease.GiveBack)
		want, _ := s.last()
		require.Len(t, want.Held, 1)
		require.Equal(t, "c", want.Held[0].ID)
		s.sends <- []leat.Event{keyed(t, "a", "k"), keyed(t, "b", "k"), keyed(t, "d", "k")}
		require.Len(t, s.receive(), 3)

		s.LoseAll(lease.ErrTaken)
		s.sends <- []leat.Event{keyed(t, "a", "k")}
		require.Len(t, s.receive(), 1, "LoseAll is the end of what was before")
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestStreamQuiesce: nothing more is asked for, and what comes still counts.
func TestStreamQuiesce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreamed(t, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		s.slow = time.Second
		s.sends <- []leat.Event{keyed(t, "a", "")}
		got := s.receive()
		s.Quiesce()
		synctest.Wait()
		_, n := s.last()
		d := got["a"]
		s.Settle(&d, leat.Settlement{Action: leat.GiveBack})
		began := time.Now()
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, time.Second, time.Since(began), "Close awaits the request")
		require.Equal(t, []lease.Op{lease.GiveBack}, s.ops("a"))
		_, after := s.last()
		require.Equal(t, n, after)
		_, err := s.Receive(t.Context(), make([]leat.Delivery, 1))
		require.Equal(t, leat.CodeClosed, leat.CodeOf(err))
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestStreamCloseInTime: the end of Close's ctx ends the request.
func TestStreamCloseInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStreamed(t, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		s.slow = time.Hour
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_ = s.Close(ctx)
		require.Equal(t, 900*time.Millisecond, time.Since(began))
	})
}
