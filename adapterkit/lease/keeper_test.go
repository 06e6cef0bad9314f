package lease_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

type (
	keeper  = lease.Keeper[string, int]
	message = lease.Message[string, int]
	entry   = lease.Entry[string, int]
	options = lease.Options[string, int]
)

// term is how long the broker lends a message.
const term = 10 * time.Second

// broker lends messages for a term. It takes them back without a word.
type broker struct {
	t    *testing.T
	k    *keeper
	mu   sync.Mutex
	lent map[string]*loan
	// What Send does, for a test; nil does as asked.
	send   func(ctx context.Context, op lease.Op, batch []entry) []error
	calls  []call
	order  []string // of give-backs
	lost   []string
	report error
}

// loan is a message that the broker waits for.
type loan struct {
	receipt int
	until   time.Time // when it takes the message back
	m       *message
	fate    lease.Op // what the broker was told
}

type call struct {
	op   lease.Op
	at   time.Time
	size int
}

var (
	errGone    = &leat.Error{Op: "settle", Code: leat.CodeLeaseLost, Err: errors.New("the receipt is stale")}
	errBroken  = errors.New("the connection is lost")
	errUnknown = errors.New("no answer")
)

func newBroker(t *testing.T, o options) *broker {
	t.Helper()
	b := &broker{t: t, lent: map[string]*loan{}}
	o.Term = term
	o.Send = func(ctx context.Context, op lease.Op, batch []entry) []error {
		b.mu.Lock()
		b.calls = append(b.calls, call{op, time.Now(), len(batch)})
		send := b.send
		b.mu.Unlock()
		if send != nil {
			return send(ctx, op, batch)
		}
		return b.apply(op, batch)
	}
	o.Lost = func(m *message, cause error) []*message {
		b.mu.Lock()
		defer b.mu.Unlock()
		require.ErrorIs(t, cause, leat.ErrLeaseLost)
		b.lost = append(b.lost, m.ID())
		return nil
	}
	o.Report = func(_ lease.Op, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.report = err
	}
	b.k = lease.New(o)
	return b
}

// sends sets what Send does.
func (b *broker) sends(f func(ctx context.Context, op lease.Op, batch []entry) []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.send = f
}

// told returns how many requests there were.
func (b *broker) told() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

// left returns what the broker waits for.
func (b *broker) left() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.lent))
}

// losses returns what Lost was told of.
func (b *broker) losses() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lost)
}

// apply does as the broker is told, with a result for each entry.
func (b *broker) apply(op lease.Op, batch []entry) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := make([]error, len(batch))
	for i, e := range batch {
		l := b.lent[e.ID]
		if l == nil || l.receipt != e.Value || time.Now().After(l.until) {
			errs[i] = errGone
			continue
		}
		switch op {
		case lease.Extend:
			l.until = time.Now().Add(term)
		case lease.GiveBack:
			b.order = append(b.order, e.ID)
			fallthrough
		default:
			l.fate = op
			delete(b.lent, e.ID)
		}
	}
	return errs
}

// deliver lends a message, and has the keeper take it.
func (b *broker) deliver(id string) *message {
	b.mu.Lock()
	l := &loan{until: time.Now().Add(term), receipt: 1}
	if old := b.lent[id]; old != nil {
		l.receipt = old.receipt + 1
	}
	b.lent[id] = l
	b.mu.Unlock()
	m, _ := b.k.Take(id, time.Now(), l.receipt)
	l.m = m
	return m
}

// since returns when calls with an op began, after a time.
func (b *broker) since(op lease.Op, from time.Time) (after []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if c.op == op {
			after = append(after, c.at.Sub(from))
		}
	}
	return after
}

// ended returns the cause of a lease's end, and whether it has ended.
func ended(m *message) (over bool, cause error) {
	m.Lease().Attach(func(func()) {}, func(err error) { over, cause = true, err })
	return over, cause
}

func (b *broker) close() {
	require.NoError(b.t, b.k.Close(b.t.Context()))
	require.Zero(b.t, b.k.Held())
}

// TestExtends: an unsettled message is extended before half of its term is over, and so on (L1).
func TestExtends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{}), time.Now()
		m := b.deliver("1")
		time.Sleep(10 * term)
		require.False(t, m.Lease().Ended())
		last := time.Duration(0)
		for _, at := range b.since(lease.Extend, began) {
			require.LessOrEqual(t, at-last, term/2)
			require.Greater(t, at-last, term*3/10, "it is extended too often")
			last = at
		}
		require.Greater(t, last, 9*term)
		b.k.Ack(m)
		synctest.Wait()
		require.Zero(t, b.k.Held())
		calls := b.told()
		time.Sleep(10 * term)
		require.Equal(t, calls, b.told(), "nothing is extended that is settled")
		b.close()
	})
}

// TestExtendsAgain: an extension that fails, or has no answer, is tried again at every tenth of the term, and the lease ends at nine tenths
// (L1, L2). The adapter hears of it.
func TestExtendsAgain(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(context.Context, int) []error{
		"fails":     func(_ context.Context, n int) []error { return lease.All(n, errBroken) },
		"no answer": func(ctx context.Context, n int) []error { <-ctx.Done(); return lease.All(n, errUnknown) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, began := newBroker(t, options{}), time.Now()
				b.sends(func(ctx context.Context, _ lease.Op, batch []entry) []error { return send(ctx, len(batch)) })
				m := b.deliver("1")
				time.Sleep(term - term/10)
				require.True(t, m.Lease().Ended())
				time.Sleep(term / 10)
				over, cause := ended(m)
				require.True(t, over)
				require.ErrorIs(t, cause, leat.ErrLeaseLost)
				require.Equal(t, []string{"1"}, b.losses())
				b.mu.Lock()
				require.Error(t, b.report)
				b.mu.Unlock()
				tries := b.since(lease.Extend, began)
				require.Equal(t, []time.Duration{4 * time.Second, 5 * time.Second, 6 * time.Second, 7 * time.Second, 8 * time.Second}, tries)
				b.k.Ack(m)
				time.Sleep(term)
				require.Empty(t, b.since(lease.Ack, began), "L6")
				b.close()
			})
		})
	}
}

// TestLateFirstTerm: a message whose request began long ago is extended at once.
func TestLateFirstTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		b.mu.Lock()
		b.lent["1"] = &loan{receipt: 1, until: time.Now().Add(term)}
		b.mu.Unlock()
		m, fresh := b.k.Take("1", time.Now().Add(-term*8/10), 1)
		require.True(t, fresh)
		synctest.Wait()
		require.Len(t, b.since(lease.Extend, time.Now()), 1)
		time.Sleep(term)
		require.False(t, m.Lease().Ended())
		b.close()
	})
}

// TestEntriesFail: one entry that fails does not touch its neighbours: a stale receipt loses its lease, any other error is repeated. The
// lease ends when the broker has confirmed (L7).
func TestEntriesFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Linger: time.Millisecond})
		var messages []*message
		for i := range 4 {
			messages = append(messages, b.deliver(fmt.Sprint(i)))
		}
		b.mu.Lock()
		delete(b.lent, "1")
		b.mu.Unlock() // somebody else has it
		first := true
		b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
			if !first {
				return b.apply(op, batch)
			}
			first = false
			require.Len(t, batch, 4)
			errs := append(b.apply(op, batch[:2]), errBroken, nil)
			require.NoError(t, b.apply(op, batch[3:])[0])
			return errs
		})
		for _, m := range messages {
			b.k.Ack(m)
			b.k.GiveBack(m, 0) // it is settled
		}
		for i, m := range messages {
			over, _ := ended(m)
			require.False(t, over, "L7: the broker has not confirmed %d", i)
		}
		require.NoError(t, b.k.Flush(t.Context()))
		synctest.Wait()
		for i, m := range messages {
			over, cause := ended(m)
			require.True(t, over)
			require.Equal(t, i == 1, cause != nil, "%v", cause)
		}
		require.Empty(t, b.left())
		require.Equal(t, []string{"1"}, b.losses())
		require.Len(t, b.since(lease.Ack, time.Now()), 2)
		b.close()
		require.NoError(t, b.report)
	})
}

// slow makes each request take a time.
func (b *broker) slow(d time.Duration) {
	b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
		time.Sleep(d)
		return b.apply(op, batch)
	})
}

// TestComesAgain: a message that comes again while it is held takes over the new receipt, and its term begins anew (L5).
func TestComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{}), time.Now()
		m := b.deliver("1")
		time.Sleep(term * 3 / 10)
		require.Same(t, m, b.deliver("1"), "it is delivered again")
		time.Sleep(term / 2)
		require.Equal(t, []time.Duration{term * 7 / 10}, b.since(lease.Extend, began))
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Empty(t, b.left())
		b.close()
	})
}

// TestComesWhileItIsExtended: the same while a request with the old receipt is under way, whose answer says nothing then.
func TestComesWhileItIsExtended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		m := b.deliver("1")
		b.slow(100 * time.Millisecond)
		time.Sleep(term*4/10 + 50*time.Millisecond)
		require.Same(t, m, b.deliver("1"))
		time.Sleep(2 * term)
		require.False(t, m.Lease().Ended(), "a stale answer ended it")
		b.close()
	})
}

// TestAckGoesAgain: a message that comes again while its ack is under way is acknowledged with the new receipt, whatever the broker answers
// to the old one (L5, T1).
func TestAckGoesAgain(t *testing.T) {
	t.Parallel()
	for _, lenient := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, options{})
			m := b.deliver("1")
			b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
				time.Sleep(100 * time.Millisecond)
				if errs := b.apply(op, batch); !lenient {
					return errs
				}
				return nil
			})
			b.k.Ack(m)
			time.Sleep(50 * time.Millisecond)
			require.Same(t, m, b.deliver("1"))
			require.NoError(t, b.k.Flush(t.Context()))
			synctest.Wait()
			require.Empty(t, b.left())
			require.Empty(t, b.losses())
			over, cause := ended(m)
			require.True(t, over)
			require.NoError(t, cause)
			b.close()
		})
	}
}

// TestTermCountsFromTheRequest: an extension that takes its time lasts from when it was asked for (L2).
func TestTermCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		m := b.deliver("1")
		b.slow(800 * time.Millisecond)
		time.Sleep(term * 5 / 10)
		b.sends(func(_ context.Context, _ lease.Op, batch []entry) []error { return lease.All(len(batch), errBroken) })
		time.Sleep(term*8/10 - time.Millisecond)
		require.False(t, m.Lease().Ended())
		time.Sleep(time.Millisecond)
		require.True(t, m.Lease().Ended(), "asked for at 4 s, it ends at 13 s")
		b.close()
	})
}

// TestNoRequestOutlastsItsLease: an ack without an answer ends with its lease, and the message is not extended meanwhile (L6).
func TestNoRequestOutlastsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{Timeout: time.Hour}), time.Now()
		m := b.deliver("1")
		var took time.Duration
		b.sends(func(ctx context.Context, _ lease.Op, batch []entry) []error {
			<-ctx.Done()
			took = time.Since(began)
			return lease.All(len(batch), errUnknown)
		})
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Equal(t, term*9/10, took)
		require.Equal(t, 1, b.told())
		b.close()
		require.Equal(t, []string{"1"}, b.losses())
	})
}

// TestComesAfterItsEnd: a message that comes again after its term is delivered under a new lease, and the old one has ended by then (L3).
func TestComesAfterItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		b.sends(func(_ context.Context, _ lease.Op, batch []entry) []error { return lease.All(len(batch), errBroken) })
		old := b.deliver("1")
		time.Sleep(term - term/10)
		m := b.deliver("1")
		require.NotSame(t, old, m)
		over, _ := ended(old)
		require.True(t, over)
		require.Equal(t, []string{"1"}, b.losses())
		b.sends(nil)
		b.k.Ack(old)
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Empty(t, b.left())
		b.close()
	})
}

// TestClose: Close stores the acks, then ends the leases, then gives back what is left, in order and without delay.
func TestClose(t *testing.T) {
	t.Parallel()
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, options{NewestFirst: newest, MaxBatch: 2})
			var left []*message
			var want []string
			for i := range 7 {
				m := b.deliver(fmt.Sprint(i))
				if i == 2 {
					b.k.Ack(m)
				} else {
					left, want = append(left, m), append(want, m.ID())
				}
			}
			b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
				require.LessOrEqual(t, len(batch), 2)
				for _, e := range batch {
					if i := slices.IndexFunc(left, func(m *message) bool { return m.ID() == e.ID }); op == lease.GiveBack {
						over, cause := ended(left[i])
						require.True(t, over, "L3: %s is given back before its lease ended", e.ID)
						require.NoError(t, cause)
						require.Zero(t, e.Delay)
					}
				}
				time.Sleep(time.Second)
				return b.apply(op, batch)
			})
			b.close()
			require.Empty(t, b.left())
			if newest {
				slices.Reverse(want)
			}
			require.Equal(t, want, b.order)
			b.close() // again
		})
	}
}

// TestCloseInTime: Close ends with its context, says so where an ack is not confirmed, and ends the leases.
func TestCloseInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		m, other := b.deliver("1"), b.deliver("2")
		b.sends(func(ctx context.Context, _ lease.Op, batch []entry) []error {
			<-ctx.Done()
			return lease.All(len(batch), errUnknown)
		})
		b.k.Ack(m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, b.k.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		for _, m := range []*message{m, other} {
			over, cause := ended(m)
			require.True(t, over)
			require.NoError(t, cause)
		}
		require.NoError(t, b.k.Close(t.Context()))
	})
}

// TestDiscard: a broadcast gives nothing back.
func TestDiscard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Discard: true})
		m := b.deliver("1")
		b.close()
		over, _ := ended(m)
		require.True(t, over)
		require.Empty(t, b.order)
	})
}

// TestLoseAll: what the broker has taken away is lost at once, and others with it.
func TestLoseAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		messages := []*message{b.deliver("1"), b.deliver("2")}
		b.k.LoseAll(errGone)
		for _, m := range messages {
			over, cause := ended(m)
			require.True(t, over)
			require.ErrorIs(t, cause, leat.ErrLeaseLost)
			b.k.Ack(m)
		}
		require.Equal(t, []string{"1", "2"}, b.losses())
		b.close()
		require.Empty(t, b.since(lease.Ack, time.Now()))
	})
}

// TestFullBatches: while a request is under way acks wait for others, and another request begins only with a full batch.
func TestFullBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Requests: 3})
		b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
			time.Sleep(10 * time.Millisecond)
			return b.apply(op, batch)
		})
		for i := range 100 {
			b.k.Ack(b.deliver(fmt.Sprint(i)))
			time.Sleep(time.Millisecond / 4)
		}
		require.NoError(t, b.k.Flush(t.Context()))
		require.LessOrEqual(t, b.told(), 12)
		require.Empty(t, b.left())
		b.close()
	})
}

// TestModel: with requests that are slow, fail, have no answer or fail in part, and messages that come again, no rule of leases is broken,
// and everything that was acked under a lease that lasts is acked in the end.
func TestModel(t *testing.T) {
	t.Parallel()
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			newLeaseModel(t, seed).run()
		})
	}
}

// leaseModel is a broker with faults, and a consumer.
type leaseModel struct {
	*broker

	r     *rand.Rand
	rmu   sync.Mutex
	luck  *rand.Rand // of requests
	ill   int        // one of so many requests fails
	next  int
	acked []*message
	out   []*message
	all   map[string]*message
}

func newLeaseModel(t *testing.T, seed uint64) *leaseModel {
	t.Helper()
	m := &leaseModel{r: rand.New(rand.NewPCG(seed, 1)), luck: rand.New(rand.NewPCG(seed, 2)), all: map[string]*message{}}
	m.ill = []int{2, 10, 1_000}[m.r.IntN(3)]
	m.broker = newBroker(t, options{MaxBatch: 1 + m.r.IntN(12), Requests: 1 + m.r.IntN(4), Linger: time.Duration(m.r.IntN(2)) * time.Millisecond})
	m.sends(m.faulty)
	return m
}

// chance is true for one request of n; 0 means of m.ill.
func (m *leaseModel) chance(n int) bool {
	m.rmu.Lock()
	defer m.rmu.Unlock()
	return m.luck.IntN(cmp.Or(n, m.ill)) == 0
}

// faulty is a Send over a bad network to a broker that has bad days.
func (m *leaseModel) faulty(ctx context.Context, op lease.Op, batch []entry) []error {
	m.rules(op, batch)
	if m.chance(3) {
		timer := time.NewTimer(200 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return lease.All(len(batch), ctx.Err())
		}
	}
	switch {
	case m.chance(0):
		return lease.All(len(batch), errBroken)
	case m.chance(0):
		m.apply(op, batch) // and the answer is lost
		<-ctx.Done()
		return lease.All(len(batch), ctx.Err())
	}
	errs := make([]error, len(batch))
	for i := range batch {
		if errs[i] = errBroken; !m.chance(0) {
			errs[i] = m.apply(op, batch[i:i+1])[0]
		}
	}
	return errs
}

// rules checks what is sent.
func (m *leaseModel) rules(op lease.Op, batch []entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range batch {
		over := m.all[e.ID].Lease().Ended()
		require.Equal(m.t, op == lease.GiveBack, over, "%d of %s, whose lease has ended: %t (L3, L6)", op, e.ID, over)
		l := m.lent[e.ID]
		require.False(m.t, op == lease.GiveBack && l != nil && !time.Now().Before(l.until), "L6: %s is given back after its term", e.ID)
	}
}

// expire is the broker, which takes back what is not extended. No lease may last then (L2, L3).
func (m *leaseModel) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.lent {
		if time.Now().After(l.until) {
			require.True(m.t, m.all[id].Lease().Ended(), "L2: %s is taken back while its lease lasts", id)
			delete(m.lent, id)
		}
	}
}

func (m *leaseModel) run() {
	for range 1_500 {
		time.Sleep(20 * time.Millisecond)
		m.expire()
		switch k := m.r.IntN(12); {
		case k < 3 && len(m.out) < 100:
			m.next++
			id := fmt.Sprint(m.next)
			x := m.deliver(id)
			m.mu.Lock()
			m.all[id] = x
			m.mu.Unlock()
			m.out = append(m.out, x)
		case k == 3 && len(m.out) > 0:
			x := m.out[m.r.IntN(len(m.out))]
			m.mu.Lock()
			l := m.lent[x.ID()]
			m.mu.Unlock()
			if l != nil && !x.Lease().Ended() { // it comes again
				require.Same(m.t, x, m.deliver(x.ID()), "L5")
			}
		case k < 7 && len(m.out) > 0:
			m.settle(m.r.IntN(len(m.out)))
		}
	}
	m.rmu.Lock()
	m.ill = 1_000_000 // all is well again
	m.rmu.Unlock()
	for len(m.out) > 0 {
		m.settle(0)
	}
	require.NoError(m.t, m.k.Flush(m.t.Context()))
	time.Sleep(2 * term)
	m.expire()
	for _, x := range m.acked {
		over, cause := ended(x)
		require.True(m.t, over, "L7: %s was acked", x.ID())
		require.True(m.t, cause != nil || !slices.Contains(m.left(), x.ID()), "T1: %s was acked under a lease that lasted, and is not stored", x.ID())
	}
	m.close()
	require.Empty(m.t, m.left())
}

func (m *leaseModel) settle(i int) {
	x := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	if m.r.IntN(4) == 0 {
		m.k.GiveBack(x, time.Duration(m.r.IntN(3))*time.Second)
		return
	}
	m.k.Ack(x)
	m.acked = append(m.acked, x)
}
