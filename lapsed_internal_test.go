package leat

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lapsing is a broker with one event, under a lease whose time a test lets run out without its timer, as it does while a process stands.
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

// L2: under a lease whose time is over, though its timer is late, nothing is started and nothing is settled.
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
