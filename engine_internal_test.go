package leat

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lapsing is a broker with one event, under a lease whose time a test lets run out without its
// timer, as it does while a process stands.
type lapsing struct {
	timed *TimedLease

	mu      sync.Mutex
	given   bool
	settled []Action
	seen    []ObservationKind
	event   Event
}

func (b *lapsing) stand() { b.timed.deadline.Store(int64(leaseClock() - 1)) }

func (b *lapsing) Publish(context.Context, string, []Event, func(int, error)) {}
func (b *lapsing) Subscribe(context.Context, Subscription) (Stream, error) {
	return lapsingStream{b}, nil
}
func (b *lapsing) Limits() Limits { return Limits{} }
func (b *lapsing) Close() error   { return nil }

func (b *lapsing) Observe(o Observation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, o.Kind)
}

type lapsingStream struct{ b *lapsing }

func (s lapsingStream) Receive(ctx context.Context, into []Delivery) (int, error) {
	s.b.mu.Lock()
	given := s.b.given
	s.b.given = true
	s.b.mu.Unlock()
	if given {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	into[0] = Delivery{Event: s.b.event, Lease: s.b.timed.Lease()}
	return 1, nil
}

func (s lapsingStream) Settle(_ *Delivery, how Settlement) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.settled = append(s.b.settled, how.Action)
}

func (lapsingStream) Capabilities() Capabilities  { return Capabilities{} }
func (lapsingStream) Close(context.Context) error { return nil }

// noPoison is a poison queue that fails the test.
type noPoison struct{ called func() }

func (q noPoison) Poison(context.Context, Poisoned) error { q.called(); return nil }
func (noPoison) Topic(Subscription) string                { return "orders.billing.poison" }

// L2: under a lease whose time is over, though its timer is late, nothing is started and nothing is
// settled.
func TestNothingHappensUnderALeaseWhoseTimeIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		early   bool // it is over before the handler would be called
		outcome error
		want    []ObservationKind
	}{
		"before the handler": {early: true, want: []ObservationKind{ObservedLost}},
		"meanwhile":          {want: []ObservationKind{ObservedAttempt, ObservedLost}},
		"before the poison queue": {
			outcome: Reject(errPending), want: []ObservationKind{ObservedAttempt, ObservedLost},
		},
		"before another attempt": {outcome: errPending, want: []ObservationKind{ObservedAttempt, ObservedLost}},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := NewEvent("t", &EventOptions{ID: "1", Source: "/s", Key: "k"})
			require.NoError(t, err)
			b := &lapsing{timed: NewTimedLeases(time.Hour).New(time.Now()), event: e}
			ended := make(chan struct{})
			if c.early {
				b.stand()
			}
			calls := 0
			consumer := NewConsumer(b, Subscription{Topic: "orders", Group: "billing"}, HandlerFunc(func(ctx context.Context, _ Event) error {
				calls++
				context.AfterFunc(ctx, func() { close(ended) })
				b.stand()
				return c.outcome
			}), &ConsumerOptions{Observer: b, PoisonQueue: noPoison{func() { t.Error("it was poisoned") }}})
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- Run(ctx, consumer) }()
			require.Eventually(t, func() bool { return consumer.Stats().LeaseLost == 1 }, 10*time.Second, time.Millisecond)
			cancel()
			require.NoError(t, <-result)
			assert.Empty(t, b.settled)
			assert.Equal(t, c.want, b.seen)
			b.timed.lease.mu.Lock()
			defer b.timed.lease.mu.Unlock()
			assert.Equal(t, leaseEnded, b.timed.lease.state, "somebody has ended it")
			if c.early {
				assert.Zero(t, calls)
				return
			}
			<-ended
		})
	}
}

// The mark is read by the engine alone, so this test looks inside.
func TestRouterMarksWhatItSkips(t *testing.T) {
	handled := HandlerFunc(func(context.Context, Event) error { return nil })
	for _, c := range []struct {
		name    string
		routes  []Route
		skipped bool
	}{
		{"handled", []Route{{Type: "a", Handler: handled}}, false},
		{"skipped", []Route{{Type: "b", Handler: handled}}, true},
		{"caught", []Route{{Type: AnyType, Handler: handled}}, false},
		{"rejected", []Route{RejectUnhandled()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := NewEvent("a", &EventOptions{ID: "1", Source: "/test"})
			if err != nil {
				t.Fatal(err)
			}
			a := &attempt{rare: &attemptRare{fixed: &Info{Attempt: 1}}}
			// The mark must be found through the contexts that middleware derives.
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), attemptKey{}, a), time.Minute)
			defer cancel()
			_ = NewRouter(c.routes...).Handle(ctx, e)
			if got := a.skipped.Load(); got != c.skipped {
				t.Errorf("the attempt is marked as skipped: %v, want %v", got, c.skipped)
			}
		})
	}
}

func TestConsumerSeesTheRouterAsChecker(t *testing.T) {
	if _, ok := Handler(NewRouter()).(subscriptionChecker); !ok {
		t.Error("a Consumer finds Check by a type assertion on its Handler")
	}
}

// listed returns how many leases are in the list.
func (ls *TimedLeases) listed() (n int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for t := ls.root.next; t != &ls.root; t = t.next {
		n++
	}
	return n
}

// takeOut does what takeDue does with a lease whose time was over a moment ago, and that was
// extended since.
func (ls *TimedLeases) takeOut(t *TimedLease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.remove(t)
}

// TestEndedTimedLeaseIsNotPutBack: the adapter ends a lease after the timer saw that it was
// extended. The lease must not come back into the list. It would stay there, and keep the timer
// going, until a deadline that is a term away.
func TestEndedTimedLeaseIsNotPutBack(t *testing.T) {
	leases := NewTimedLeases(time.Hour)
	ended, lasting := leases.New(time.Now()), leases.New(time.Now())
	for _, l := range []*TimedLease{ended, lasting} {
		leases.takeOut(l)
		assert.False(t, l.expire())
	}
	ended.Lease().End(nil)
	leases.putBack(ended)
	leases.putBack(lasting)
	assert.Equal(t, 1, leases.listed(), "one lasts")
	lasting.Lease().End(nil)
	assert.Zero(t, leases.listed())
}

// TestTimedLeasesEndWhileTheTimerLooks is the same in any order of the two.
func TestTimedLeasesEndWhileTheTimerLooks(t *testing.T) {
	const rounds, each = 100, 200
	leases := NewTimedLeases(time.Hour)
	for range rounds {
		over := make([]*TimedLease, each)
		for i := range over {
			over[i] = leases.New(time.Now())
			leases.takeOut(over[i])
		}
		var wg sync.WaitGroup
		wg.Go(func() { leases.expire(over) })
		for _, l := range over {
			l.Lease().End(nil)
		}
		wg.Wait()
		assert.Zero(t, leases.listed(), "leases that have ended are in the list")
	}
}

// The table in docs/operations.md has each line of the log, with its level and its attributes.
func TestTheDocumentedLinesAreThoseOfTheLog(t *testing.T) {
	text, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| message | level | attributes | what to do |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/operations.md has no table of lines")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			t.Fatalf("a row has %d cells: %s", len(cells), row)
		}
		documented[strings.TrimPrefix(cells[0], "| ")] = strings.TrimSpace(cells[1] + " " + strings.ReplaceAll(cells[2], "`", ""))
	}
	for _, l := range logLines {
		want := strings.TrimSpace(l.Level.String() + " " + l.Attributes)
		if got := documented[l.Message]; got != want {
			t.Errorf("docs/operations.md says of %q: %q, want %q", l.Message, got, want)
		}
		delete(documented, l.Message)
	}
	for message := range documented {
		t.Errorf("docs/operations.md has a line that nobody writes: %q", message)
	}
}

// What kindOf leaves of two reasons that differ in values only is the same.
func TestKindsOfReasonsHaveNoValues(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{`malformed JSON at byte 7: "x"`, `malformed JSON at byte 1234: "yy"`},
		{`partition 1: dial tcp 127.0.0.1:9092`, `partition 12: dial tcp 10.20.30.40:9093`},
	} {
		if kindOf(c.a) != kindOf(c.b) {
			t.Errorf("%q and %q are two kinds", kindOf(c.a), kindOf(c.b))
		}
	}
	if kindOf("no key") == kindOf("no value") {
		t.Error("two reasons are one kind")
	}
	if n := len(kindOf(strings.Repeat("a", 1000))); n > 210 {
		t.Errorf("a kind has %d bytes", n)
	}
}
