package lease_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
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
