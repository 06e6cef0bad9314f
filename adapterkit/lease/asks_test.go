package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer is what one request brings.
type answer struct {
	events []leat.Event
	err    error
	aside  bool // the request fails and goes on, until the test sends an answer once more
}

// several is a stream with up to 3 requests of 4 events at a time.
type several struct {
	*lease.Stream[string, int]

	answers chan answer
	wants   chan lease.Want[string, int]
	open    chan struct{} // holds a token for each request under way
}

func newSeveral(t *testing.T, o book.Options) *several {
	t.Helper()
	return startSeveral(lease.Options[string, int]{Send: confirm}, o)
}

func startSeveral(o lease.Options[string, int], b book.Options) *several {
	s := &several{answers: make(chan answer), wants: make(chan lease.Want[string, int], 100), open: make(chan struct{}, 100)}
	o.Term = term
	s.Stream = lease.NewStream(o, b)
	s.StartMany(lease.Asks{Most: 3, Batch: 4}, s.ask)
	return s
}

// confirm is a broker that takes everything.
func confirm(context.Context, lease.Op, []entry) []error { return nil }

func (s *several) ask(ctx context.Context, want lease.Want[string, int]) (int, error) {
	s.wants <- want
	s.open <- struct{}{}
	defer func() { <-s.open }()
	asked := time.Now()
	for {
		select {
		case a := <-s.answers:
			if a.aside {
				want.Aside(a.err)
				continue
			}
			for _, e := range a.events {
				s.Arrived(e.ID(), 1, asked, &leat.Delivery{Event: e}, e.Size())
			}
			return len(a.events), a.err
		case <-want.Stop:
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// receive begins a Receive, and returns what waits for its result.
func (s *several) receive(t *testing.T) (got func() []leat.Delivery) {
	t.Helper()
	done, into := make(chan int, 1), make([]leat.Delivery, 10)
	go func() {
		n, err := s.Receive(t.Context(), into)
		assert.NoError(t, err)
		done <- n
	}()
	synctest.Wait()
	return func() []leat.Delivery { return into[:<-done] }
}

func (s *several) finish(t *testing.T, deliveries []leat.Delivery) {
	t.Helper()
	for i := range deliveries {
		s.Settle(&deliveries[i], leat.Settlement{Action: leat.Ack})
	}
	synctest.Wait()
}

// TestStreamAsksOnDemand: nothing is asked for before a Receive, one request waits while nothing
// comes, and more run at a time while they bring something.
func TestStreamAsksOnDemand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, book.Options{MaxInFlight: 10, MaxInFlightBytes: 1 << 20})
		time.Sleep(time.Minute) // in fake time
		require.Empty(t, s.open)
		got := s.receive(t)
		require.Len(t, s.open, 1, "one request while nothing comes")
		require.Equal(t, 4, (<-s.wants).Events)
		s.answers <- answer{events: []leat.Event{keyed(t, "a", "a"), keyed(t, "b", "b")}}
		first := got()
		synctest.Wait()
		require.Len(t, s.open, 2, "the first brought something")
		require.Equal(t, []int{4, 4}, []int{(<-s.wants).Events, (<-s.wants).Events})
		s.answers <- answer{events: []leat.Event{keyed(t, "c", "c")}}
		synctest.Wait()
		require.Len(t, s.open, 2, "3 are held and 4 may come: 3 more is all")
		require.Equal(t, 3, (<-s.wants).Events)
		second := s.receive(t)()
		s.finish(t, append(first, second...))
		require.Len(t, s.open, 3, "no more than Most")
		time.Sleep(time.Second) // in fake time
		for range 3 {
			s.answers <- answer{}
		}
		synctest.Wait()
		require.Empty(t, s.open, "nobody receives any more")
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestArrivesWhenItsLeaseIsOver: what arrives so late is not delivered, and nothing of it stays.
// Where the broker lends it again, it is a new message.
func TestArrivesWhenItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	for range 100 { // the keeper looks at the same time
		synctest.Test(t, func(t *testing.T) {
			s := newSeveral(t, book.Options{MaxInFlight: 2, MaxInFlightBytes: 1 << 20})
			got := s.receive(t)
			for _, age := range []time.Duration{term, term * 9 / 10} {
				e := keyed(t, "a", "k")
				s.Arrived("a", 1, time.Now().Add(-age), &leat.Delivery{Event: e}, e.Size())
			}
			synctest.Wait()
			assert.Zero(t, s.Numbers())
			s.answers <- answer{events: []leat.Event{keyed(t, "a", "k")}}
			deliveries := got()
			require.Len(t, deliveries, 1)
			require.False(t, deliveries[0].Lease.Ended())
			s.finish(t, deliveries)
			require.NoError(t, s.Close(t.Context()))
		})
	}
}

// TestStreamPausesAfterErrors: requests that fail together count once, the pause grows up to a
// second, and an answer ends it.
func TestStreamPausesAfterErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, book.Options{MaxInFlight: 100, MaxInFlightBytes: 1 << 20})
		wrong := errors.New("wrong")
		got := s.receive(t)
		var waits []time.Duration
		for range 7 {
			failed := time.Now()
			s.answers <- answer{err: wrong}
			synctest.Wait()
			require.Empty(t, s.open)
			since, err := s.Failing()
			require.ErrorIs(t, err, wrong)
			require.False(t, since.IsZero())
			for len(s.open) == 0 {
				time.Sleep(time.Millisecond) // in fake time
				synctest.Wait()
			}
			waits = append(waits, time.Since(failed))
		}
		const ms = time.Millisecond
		require.Equal(t, []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms}, waits)
		s.answers <- answer{events: []leat.Event{keyed(t, "a", "a")}}
		s.finish(t, got())
		_, err := s.Failing()
		require.NoError(t, err)
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestStreamLooksForALostAnswer: while a request that failed goes on, another one runs, and the
// room of the first stays reserved.
func TestStreamLooksForALostAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, book.Options{MaxInFlight: 6, MaxInFlightBytes: 1 << 20})
		got := s.receive(t)
		<-s.wants
		s.answers <- answer{aside: true, err: errors.New("cut")}
		synctest.Wait()
		_, err := s.Failing()
		require.Error(t, err)
		time.Sleep(time.Second) // in fake time
		synctest.Wait()
		require.Len(t, s.open, 2)
		require.Equal(t, 2, (<-s.wants).Events)
		for range 2 {
			s.answers <- answer{events: []leat.Event{keyed(t, "a", "a")}}
		}
		deliveries := got()
		require.Len(t, deliveries, 1, "the same message once")
		s.finish(t, deliveries)
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestStreamMinimumOfBytes: what large events take is known from those that came, and a single one
// is asked for in any case when nothing is held.
func TestStreamMinimumOfBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		size := keyed(t, "a", "a").Size()
		s := newSeveral(t, book.Options{MaxInFlight: 100, MaxInFlightBytes: 3 * size})
		got := s.receive(t)
		require.Equal(t, 4, (<-s.wants).Events, "nothing came yet")
		s.answers <- answer{events: []leat.Event{keyed(t, "a", "a")}}
		first := got()
		synctest.Wait()
		require.Equal(t, 2, (<-s.wants).Events)
		require.Empty(t, s.wants, "no room for another request")
		s.finish(t, first)
		require.NoError(t, s.Close(t.Context()))
	})
}

// TestStreamCloseKeepsTimeToGiveBack: requests that do not end are ended before the deadline.
func TestStreamCloseKeepsTimeToGiveBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := lease.NewStream(lease.Options[string, int]{Term: term, Send: confirm},
			book.Options{MaxInFlight: 1, MaxInFlightBytes: 1})
		s.Start(func(ctx context.Context, _ lease.Want[string, int]) error {
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.NoError(t, s.Close(ctx))
		require.Equal(t, 900*time.Millisecond, time.Since(began))
	})
}

// TestExtendTimeout: a broker that needs more than a tenth of the term keeps its leases.
func TestExtendTimeout(t *testing.T) {
	t.Parallel()
	for timeout, lasts := range map[time.Duration]bool{0: false, term / 5: true} {
		synctest.Test(t, func(t *testing.T) {
			k := lease.New(lease.Options[string, int]{
				Term: term, ExtendTimeout: timeout,
				Send: func(ctx context.Context, _ lease.Op, batch []entry) []error {
					select {
					case <-time.After(term * 3 / 20):
						return nil
					case <-ctx.Done():
						return lease.All(len(batch), ctx.Err())
					}
				},
			})
			m, _ := k.Take("a", time.Now(), 1)
			time.Sleep(3 * term) // in fake time
			require.Equal(t, lasts, !m.Lease().Ended(), "%v", timeout)
			require.NoError(t, k.Close(t.Context()))
		})
	}
}
