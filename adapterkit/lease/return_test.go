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
