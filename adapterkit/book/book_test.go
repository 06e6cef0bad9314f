package book_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// desk is a book of ints with one window.
type desk struct {
	tb testing.TB
	mu sync.Mutex
	b  *book.Book[int]
	w  *book.Window[int]
}

func newDesk(tb testing.TB, o book.Options) *desk {
	tb.Helper()
	o.MaxInFlight, o.MaxInFlightBytes = cmp.Or(o.MaxInFlight, 100), cmp.Or(o.MaxInFlightBytes, 1<<20)
	d := &desk{tb: tb}
	d.b = book.New[int](&d.mu, o)
	d.w = d.b.Open(leat.NewLease())
	return d
}

func event(tb testing.TB, id int, key string) leat.Event {
	tb.Helper()
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: fmt.Sprint(id), Source: "/s", Key: key})
	require.NoError(tb, err)
	return e
}

// push enters records of the size 1 with a key, whose ids are their numbers.
func (d *desk) push(keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		n := int(d.w.Next())
		d.w.Push(&leat.Delivery{Event: event(d.tb, n, key)}, 1, n)
	}
}

// receive receives what there is, which is something.
func (d *desk) receive(most int) (ids []int, deliveries []leat.Delivery) {
	d.tb.Helper()
	into := make([]leat.Delivery, most)
	n, err := d.b.Receive(d.tb.Context(), into)
	require.NoError(d.tb, err)
	for i := range into[:n] {
		ids = append(ids, int(into[i].Tag>>16))
	}
	return ids, into[:n]
}

func (d *desk) settle(how leat.Settlement, deliveries ...leat.Delivery) (effects []book.Effect) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range deliveries {
		_, effect := d.b.Settle(&deliveries[i], how)
		effects = append(effects, effect)
	}
	return effects
}

func ack() leat.Settlement      { return leat.Settlement{Action: leat.Ack} }
func giveBack() leat.Settlement { return leat.Settlement{Action: leat.GiveBack} }

// waiting calls Receive, waits until it waits, and returns what it returns then.
func (d *desk) waiting(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := d.b.Receive(ctx, make([]leat.Delivery, 10))
		done <- err
	}()
	synctest.Wait()
	select {
	case err := <-done:
		require.Fail(d.tb, "Receive does not wait", "%v", err)
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	require.True(d.tb, d.b.Waiting())
	return done
}

// TestReceiveWaits: a Receive that waits goes on when there is something to deliver, and when there
// is no more reason to wait (R1).
func TestReceiveWaits(t *testing.T) {
	t.Parallel()
	first := func(d *desk) []leat.Delivery {
		d.push("k")
		_, one := d.receive(1)
		return one
	}
	for name, c := range map[string]struct {
		o    book.Options
		goes func(d *desk, one []leat.Delivery)
	}{
		"a record arrives":           {goes: func(d *desk, _ []leat.Delivery) { d.push("") }},
		"what was out is given back": {goes: func(d *desk, one []leat.Delivery) { d.settle(giveBack(), one...) }},
		"something without a key": {o: book.Options{Unordered: true}, goes: func(d *desk, one []leat.Delivery) {
			d.settle(giveBack(), one...)
		}},
		"there is room again": {o: book.Options{MaxInFlight: 1}, goes: func(d *desk, one []leat.Delivery) { d.settle(ack(), one...) }},
		"there is room in bytes": {o: book.Options{MaxInFlightBytes: 1}, goes: func(d *desk, one []leat.Delivery) {
			d.settle(ack(), one...)
		}},
		"a record leaves by its lease": {o: book.Options{MaxInFlight: 1}, goes: func(d *desk, _ []leat.Delivery) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.w.Lose(1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, c.o)
				one := first(d)
				if c.o.MaxInFlight+c.o.MaxInFlightBytes > 0 {
					d.push("other")
				}
				done := d.waiting(t.Context())
				c.goes(d, one)
				synctest.Wait()
				require.NoError(t, <-done)
			})
		})
	}
}

// TestReceiveEnds: Receive ends with its context, which harms nothing, and with the stream.
func TestReceiveEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, book.Options{Topic: "orders"})
		ctx, cancel := context.WithCancel(t.Context())
		done := d.waiting(ctx)
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, leat.CodeCanceled, leat.CodeOf(err))
		_, err = d.b.Receive(t.Context(), nil)
		require.Equal(t, leat.CodeInvalid, leat.CodeOf(err))

		d.push("")
		_, one := d.receive(1)
		done = d.waiting(t.Context())
		over := errors.New("the stream is closed")
		d.mu.Lock()
		d.b.Shut(over)
		d.b.Shut(errors.New("another one"))
		d.mu.Unlock()
		require.Equal(t, over, <-done)
		_, err = d.b.Receive(t.Context(), make([]leat.Delivery, 1))
		require.Equal(t, over, err)
		require.Equal(t, []book.Effect{book.Acked}, d.settle(ack(), one...), "settlements still count until the window ends")
	})
}

// TestDelaysWake: Receive looks again when the first delay is over, and then the next. The longest
// delay caps them. Shut ends the wait.
func TestDelaysWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, book.Options{LongestDelay: 3 * time.Minute})
		d.push("", "", "k", "k")
		_, all := d.receive(10)
		for i, delay := range []time.Duration{time.Hour, time.Minute, 2 * time.Minute, 0} {
			d.settle(leat.Settlement{Action: leat.GiveBack, Delay: delay}, all[i])
		}
		began := time.Now()
		for _, want := range []struct {
			after time.Duration
			ids   []int
		}{{time.Minute, []int{2}}, {2 * time.Minute, []int{3, 4}}, {3 * time.Minute, []int{1}}} {
			ids, got := d.receive(10)
			require.Equal(t, want.ids, ids)
			require.Equal(t, want.after, time.Since(began))
			d.settle(leat.Settlement{Action: leat.GiveBack, Delay: time.Hour}, got...)
		}
		d.mu.Lock()
		d.b.Fill(make([]leat.Delivery, 1))
		d.b.Shut(errors.New("closed"))
		require.Positive(t, d.b.Waits())
		d.mu.Unlock()
	})
}

// TestQuiesce: nothing that is given back after Quiesce goes out again, and it is still there for
// the end of the window (Q1).
func TestQuiesce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{KeylessLeave: true})
	d.push("", "k", "")
	_, all := d.receive(10)
	d.mu.Lock()
	d.b.Quiesce()
	d.mu.Unlock()
	require.Equal(t, []book.Effect{book.GivenBack, book.GivenBack, book.Acked},
		append(d.settle(giveBack(), all[:2]...), d.settle(ack(), all[2])...))
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Zero(t, d.b.Fill(make([]leat.Delivery, 10)))
	var left []int
	for n := range d.w.Unsettled() {
		left = append(left, n)
	}
	require.Equal(t, []int{1, 2}, left)
	d.w.End()
	require.True(t, d.w.Ended())
	held, _ := d.b.Held()
	require.Zero(t, held)
	require.Zero(t, d.w.Push(&leat.Delivery{}, 1, 4), "nothing enters a window that has ended")
}

// TestSetAside: a record that the adapter does something with is neither out nor finished, until
// the adapter says so.
func TestSetAside(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{})
	d.push("", "")
	_, all := d.receive(10)
	d.mu.Lock()
	for i := range all {
		w, n, ok := d.b.Find(&all[i])
		require.True(t, ok)
		require.Equal(t, i+1, *w.Of(n))
		require.Equal(t, all[i].Event, w.Delivery(n).Event)
		w.SetAside(n)
		_, _, ok = d.b.Find(&all[i])
		require.False(t, ok, "it is settled")
	}
	out, _ := d.b.Out()
	held, _ := d.b.Held()
	require.Equal(t, [2]int{0, 2}, [2]int{out, held})
	d.w.Finish(1)
	require.Nil(t, d.w.Of(1))
	require.Nil(t, d.w.Delivery(1))
	d.w.GiveBack(2, 0)
	d.mu.Unlock()
	ids, again := d.receive(10)
	require.Equal(t, []int{2}, ids)
	require.NotEqual(t, all[1].Tag, again[0].Tag)
	require.Equal(t, []book.Effect{book.None}, d.settle(ack(), all[1]), "the old round")
	require.Equal(t, []book.Effect{book.Acked}, d.settle(ack(), again[0]))
}

// TestFinishedBesideAnUnfinishedOne: what is finished while an older record is not, for longer than
// the ring is, is acknowledged.
func TestFinishedBesideAnUnfinishedOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{MaxInFlight: 2, Acks: book.Ranges})
	d.push("")
	d.receive(1)
	const more = 300
	for range more {
		d.push("")
		_, got := d.receive(1)
		d.settle(ack(), got...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ring, beside := d.w.Ring()
	require.Equal(t, 256, ring)
	require.Positive(t, beside)
	n, _ := d.w.Uncollected()
	require.Equal(t, more, n)
	require.Zero(t, d.w.Collect(false).Count)
	require.Len(t, d.w.Collect(true).Ones, more)
	oldest, ok := d.w.Oldest()
	require.True(t, ok)
	require.Equal(t, 1, oldest)
	d.w.Finish(1)
	require.Equal(t, book.Collected{Ones: []uint64{1}, Count: 1}, d.w.Collect(true))
}

// TestSort: what was not delivered yet is sorted, and numbered anew.
func TestSort(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{})
	d.push("k")
	d.receive(1)
	d.mu.Lock()
	for _, position := range []int{30, 10, 20} {
		d.w.Push(&leat.Delivery{Event: event(t, position, "k")}, 1, position)
	}
	numbers := map[int]uint64{}
	d.w.Sort(cmp.Compare[int], func(of *int, n uint64) { numbers[*of] = n })
	d.mu.Unlock()
	require.Equal(t, map[int]uint64{10: 2, 20: 3, 30: 4}, numbers)
	ids, sorted := d.receive(10)
	require.Equal(t, []int{2, 3, 4}, ids)
	for i, id := range []string{"10", "20", "30"} {
		require.Equal(t, id, sorted[i].Event.ID())
	}
}

// TestWindowsTakeTurns: a window with much to deliver does not keep another one waiting.
func TestWindowsTakeTurns(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{})
	d.push("", "", "", "", "")
	first := d.w
	d.mu.Lock()
	d.w = d.b.Open(leat.NewLease())
	d.mu.Unlock()
	d.push("")
	_, got := d.receive(2)
	require.Same(t, first, got[0].Handle)
	_, got = d.receive(1)
	require.Same(t, d.w, got[0].Handle)
	ids, _ := d.receive(10)
	require.Equal(t, []int{3, 4, 5}, ids)
}

// TestTimedWindow: a window whose own lease is over delivers and settles nothing, although nobody
// has ended the window yet (L2, T4).
func TestTimedWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, book.Options{Timed: true, Acks: book.Ranges})
		lease := leat.NewTimedLeases(10 * time.Second).New(time.Now())
		d.w = d.b.Open(lease.Lease())
		timed := d.w
		d.push("", "", "")
		_, got := d.receive(2)
		d.settle(giveBack(), got[0])
		d.w = d.b.Open(leat.NewLease())
		d.push("", "")
		time.Sleep(9 * time.Second) // in fake time
		ids, others := d.receive(10)
		require.Equal(t, []int{1, 2}, ids)
		require.Same(t, d.w, others[0].Handle, "of the other window")
		d.w = timed
		require.Equal(t, []book.Effect{book.None}, d.settle(ack(), got[1]))
		require.True(t, d.w.Stopped())
	})
}

// TestTimedRecord: a record whose own lease is over before it went out never goes out, nor do later
// ones of its key (L4). Whoever ends the lease learns which others that are.
func TestTimedRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{Timed: true})
	lost := leat.NewLease()
	d.mu.Lock()
	for i, lease := range []*leat.Lease{lost, leat.NewLease(), leat.NewLease()} {
		d.w.Push(&leat.Delivery{Event: event(t, i+1, []string{"k", "k", "other"}[i]), Lease: lease}, 1, i+1)
	}
	d.mu.Unlock()
	lost.End(leat.ErrLeaseLost)
	ids, _ := d.receive(10)
	require.Equal(t, []int{3}, ids)
	d.mu.Lock()
	defer d.mu.Unlock()
	held, _ := d.b.Held()
	require.Equal(t, 1, held)
	require.Equal(t, []int{2}, d.w.Lose(1))
	require.Empty(t, d.w.Lose(1))
}

// TestRounds: a settlement of an old round has no effect, however often the record has come since.
func TestRounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, book.Options{})
	d.push("")
	_, first := d.receive(1)
	last := first
	for range 1<<16 - 1 {
		d.settle(giveBack(), last...)
		_, last = d.receive(1)
		require.NotEqual(t, first[0].Tag, last[0].Tag)
	}
	require.Equal(t, []book.Effect{book.None, book.Acked}, append(d.settle(ack(), first...), d.settle(ack(), last...)...))
}

// TestNotForThisBook: deliveries of somebody else have no effect.
func TestNotForThisBook(t *testing.T) {
	t.Parallel()
	d, other := newDesk(t, book.Options{}), newDesk(t, book.Options{})
	d.push("")
	other.push("")
	_, theirs := other.receive(1)
	d.receive(1)
	require.Equal(t, []book.Effect{book.None, book.None, book.None},
		d.settle(ack(), theirs[0], leat.Delivery{}, leat.Delivery{Handle: d.w, Tag: 7 << 16}))
	_, mine := d.b.Settle(&theirs[0], leat.Settlement{Action: leat.NativeReject})
	assert.Equal(t, book.None, mine)
}
