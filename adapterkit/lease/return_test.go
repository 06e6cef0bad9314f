package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

var errReplaced = &leat.Error{Op: "lease", Code: leat.CodeLeaseLost}

// TestReturnAll: leases end with the cause before the broker gets the messages back, in the order
// of Take. What is settled is not affected, and a returned message that comes again is a new one.
func TestReturnAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Linger: time.Millisecond})
		one, two, three := b.deliver("1"), b.deliver("2"), b.deliver("3")
		b.k.Ack(two)
		b.k.ReturnAll(errReplaced)
		for _, m := range []*message{one, three} {
			over, cause := ended(m)
			require.True(t, over)
			require.ErrorIs(t, cause, errReplaced)
		}
		require.Equal(t, []string{"1", "3"}, b.losses())
		b.k.Ack(one) // has no effect
		synctest.Wait()
		time.Sleep(time.Second)
		require.Zero(t, b.k.Held())
		require.Equal(t, []string{"1", "3"}, b.order)
		again, fresh := b.k.Take("1", time.Now(), 7)
		require.True(t, fresh)
		require.NotSame(t, one, again)
		b.k.Lose(errReplaced, again)
		b.close()
	})
}

// TestReturnAllStops: a message is not given back when its term is over, since others may have it
// (L6).
func TestReturnAllStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{}), time.Now()
		b.sends(func(context.Context, lease.Op, []entry) []error { return lease.All(1, errBroken) })
		b.deliver("1")
		b.k.ReturnAll(errReplaced)
		time.Sleep(2 * term)
		tries := b.since(lease.GiveBack, began)
		require.Greater(t, len(tries), 2)
		require.Less(t, tries[len(tries)-1], term-term/10)
		b.close()
	})
}

// TestOverdue: it is known at once that the time of a lease is over, also before the keeper has
// looked.
func TestOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		require.False(t, b.k.Overdue())
		b.sends(func(_ context.Context, _ lease.Op, batch []entry) []error { return lease.All(len(batch), errBroken) })
		m, _ := b.k.Take("2", time.Now().Add(-term/20), 1)
		time.Sleep(term*85/100 - time.Millisecond)
		require.False(t, b.k.Overdue())
		time.Sleep(2 * time.Millisecond)
		require.True(t, m.Lease().Ended())
		require.True(t, b.k.Overdue())
		time.Sleep(term / 10)
		require.Equal(t, []string{"2"}, b.losses())
		require.False(t, b.k.Overdue())
		b.close()
	})
}

// TestGiveBackKeepsItsOrder: what a request could not give back goes before what waits.
func TestGiveBackKeepsItsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{NewestFirst: true, MaxBatch: 2})
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			b.deliver(id)
		}
		failed := false
		b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
			if !failed {
				failed = true
				return lease.All(len(batch), errBroken)
			}
			return b.apply(op, batch)
		})
		b.close()
		require.Equal(t, []string{"5", "4", "3", "2", "1"}, b.order)
	})
}

// TestGiveBackAwaitsTheExtension: a broker might handle an extension that is under way after the
// give-back, and hide the message for another term.
func TestGiveBackAwaitsTheExtension(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(b *broker, m *message){
		"given back": func(b *broker, m *message) { b.k.GiveBack(m, 0) },
		"returned":   func(b *broker, _ *message) { b.k.ReturnAll(errReplaced) },
		"closed":     func(b *broker, _ *message) { b.close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, began := newBroker(t, options{}), time.Now()
				b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
					if op == lease.Extend {
						time.Sleep(400 * time.Millisecond) // on its way to the broker
					}
					return b.apply(op, batch)
				})
				m := b.deliver("1")
				time.Sleep(term*4/10 + 100*time.Millisecond) // it is being extended
				give(b, m)
				time.Sleep(time.Second)
				require.Equal(t, []time.Duration{term * 4 / 10}, b.since(lease.Extend, began))
				require.Equal(t, []time.Duration{term*4/10 + 400*time.Millisecond}, b.since(lease.GiveBack, began))
				require.Empty(t, b.left())
				b.close()
			})
		})
	}
}

// TestAHungExtensionHoldsUpLittle: a give-back waits half a second for an extension, not until it
// is given up, and what is not extended goes before.
func TestAHungExtensionHoldsUpLittle(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(b *broker, fresh, old, older *message){
		"given back": func(b *broker, fresh, old, older *message) {
			b.k.GiveBack(fresh, 0)
			b.k.GiveBack(old, 0)
			b.k.GiveBack(older, 0)
		},
		"closed": func(b *broker, _, _, _ *message) {
			ctx, cancel := context.WithTimeout(b.t.Context(), term/10)
			defer cancel()
			require.NoError(b.t, b.k.Close(ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, options{ExtendTimeout: term / 5, NewestFirst: true})
				b.sends(func(ctx context.Context, op lease.Op, batch []entry) []error {
					if op == lease.Extend {
						<-ctx.Done() // a connection without an answer
						return lease.All(len(batch), ctx.Err())
					}
					return b.apply(op, batch)
				})
				older, old := b.deliver("older"), b.deliver("old")
				time.Sleep(term * 3 / 10)
				fresh := b.deliver("fresh") // is not extended before 7/10
				time.Sleep(term/10 + 100*time.Millisecond)
				at := time.Now()
				give(b, fresh, old, older)
				time.Sleep(time.Second)
				b.close()
				require.Equal(t, []string{"fresh", "old", "older"}, b.order)
				require.Equal(t, []time.Duration{0, 500 * time.Millisecond}, b.since(lease.GiveBack, at))
			})
		})
	}
}
