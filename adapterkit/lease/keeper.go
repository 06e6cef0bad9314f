package lease

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// Op is what the broker is told about a message.
type Op uint8

const (
	// Ack ends a message for its group.
	Ack Op = iota + 1
	// Reject hands a message to the broker's dead-letter mechanism.
	Reject
	// GiveBack makes a message visible to all, after [Entry].Delay.
	GiveBack
	// Extend begins the term of a message anew.
	Extend
)

// Entry is one message of a batch.
type Entry[K comparable, T any] struct {
	ID K
	// Value is what [Keeper.Take] got for the message by the latest request.
	Value T
	// Delay is for GiveBack only.
	Delay time.Duration
}

// Options configures a [Keeper]. Term and Send are required.
type Options[K comparable, T any] struct {
	// Term is after how long the broker takes a message back that is not extended. It should be ten
	// times as long as the broker needs to answer.
	Term time.Duration
	// Send tells the broker about a batch and waits for the answer. It returns nil when the broker
	// confirmed all entries, else an error or nil for each one. An error with [leat.CodeLeaseLost]
	// says that the broker does not take this receipt any more. All others are repeated while the
	// lease lasts. Several calls may run at a time, but one of GiveBack only.
	Send func(ctx context.Context, op Op, batch []Entry[K, T]) []error
	// Lost is told of a message whose lease is lost. It takes the message out of the adapter's
	// book, and returns others that are lost with it; see book.Window.Lose. Nil does nothing.
	Lost func(m *Message[K, T], cause error) (others []*Message[K, T])
	// Report gets what went wrong with a request, and nil when one went well. It may be called
	// often. Nil does nothing.
	Report func(op Op, err error)
	// Freed is called after messages are not held any more. Nil does nothing.
	Freed func()
	// Polled says that messages come as answers to requests of which several run at a time. Then
	// the answer to an older request may come late, and replaces no value. [Stream.StartMany] sets
	// it.
	Polled bool
	// MaxBatch is the most entries of a request. 0 means 10.
	MaxBatch int
	// Requests is how many requests of acks, and how many of extensions, run at a time. 0 means 4.
	// Another one begins when a full batch waits.
	Requests int
	// Linger is how long an ack waits for others. 0 means that it only waits while requests are
	// under way.
	Linger time.Duration
	// Timeout bounds a request with acks or give-backs, and so does the end of the first of its
	// leases. 0 means 10 s.
	Timeout time.Duration
	// ExtendTimeout bounds a request with extensions, and so does Timeout. The next attempt begins
	// when it is over. 0 means less than a tenth of the term. A fifth is for brokers that are slow
	// for their term.
	ExtendTimeout time.Duration
	// NewestFirst makes Close give messages back in the opposite order of Take.
	NewestFirst bool
	// Discard makes Close forget what is unsettled instead of giving it back, for a broadcast.
	Discard bool
}

// Message is a message that the broker lends. The keeper makes it.
type Message[K comparable, T any] struct {
	// Of is the adapter's own, such as the place of the message in its book. Set it before anybody
	// else can know of the message. The keeper does not look at it.
	Of any

	id    K
	lease *leat.TimedLease
	seq   uint64 // the order of Take

	// Guarded by Keeper.mu:
	value     T
	asked     time.Time // when the request began that brought value
	version   int       // how often value was replaced
	op        Op        // what it is settled with; 0 while it is not
	delay     time.Duration
	deadline  time.Time     // of a GiveBack, whose lease has ended
	busy      bool          // a request with its op is under way
	extending bool          // it is about to be extended, or that is under way
	extension chan struct{} // closed when the extension under way has ended; nil while there is none
	lost      bool          // its lease ends; it stays in held until that is done
	cause     error         // of the loss

	early bool // it was lost before it came into a stream's book; guarded by Stream.mu
}

// Lease returns the lease of the message, for [leat.Delivery].Lease.
func (m *Message[K, T]) Lease() *leat.Lease { return m.lease.Lease() }

// ID returns the message's id.
func (m *Message[K, T]) ID() K { return m.id }

// Keeper keeps messages that a broker lends for a term. Its methods may be called from several
// goroutines at once; see the package comment about locks.
type Keeper[K comparable, T any] struct {
	o      Options[K, T]
	leases *leat.TimedLeases
	ctx    context.Context
	cancel context.CancelFunc
	tasks  lifecycle.Tasks
	slots  chan struct{} // of requests with extensions
	kick   chan struct{} // holds a token when the extensions should be looked at
	gone   chan struct{} // closed when Close ends

	mu       sync.Mutex
	held     map[K]*Message[K, T]
	seq      uint64
	acks     lane[K, T]
	backs    lane[K, T]
	watching bool      // a goroutine extends
	safe     time.Time // until when no lease is over
	closed   bool
}

// New returns a Keeper. Close it.
func New[K comparable, T any](o Options[K, T]) *Keeper[K, T] {
	o.MaxBatch, o.Requests, o.Timeout = cmp.Or(o.MaxBatch, 10), cmp.Or(o.Requests, 4), cmp.Or(o.Timeout, 10*time.Second)
	k := &Keeper[K, T]{
		o: o, leases: leat.NewTimedLeases(o.Term), held: map[K]*Message[K, T]{}, slots: make(chan struct{}, o.Requests),
		kick: make(chan struct{}, 1), gone: make(chan struct{}), acks: lane[K, T]{most: o.Requests}, backs: lane[K, T]{most: 1},
	}
	k.ctx, k.cancel = context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	return k
}

// Take notes a message that arrived. asked is the [time.Now] at which the request began that
// brought it. fresh is false for a message that is held already: the adapter delivers nothing, and
// the keeper has taken over its new value (L5), but see [Options].Polled. Where the lease of m has
// ended when it arrives, the adapter must not deliver it.
func (k *Keeper[K, T]) Take(id K, asked time.Time, value T) (m *Message[K, T], fresh bool) {
	k.mu.Lock()
	m = k.held[id]
	if m != nil && !m.lost && !m.Lease().Ended() {
		defer k.mu.Unlock()
		if !k.o.Polled || !asked.Before(m.asked) {
			m.value, m.asked = value, asked
			m.version++
			m.lease.Extended(asked)
		}
		return m, false
	}
	old, givenBack, cause := m, m != nil && m.op == GiveBack, errTerm
	if old != nil && old.lost {
		cause = old.cause
	}
	k.seq++
	m = &Message[K, T]{id: id, value: value, asked: asked, lease: k.leases.New(asked), seq: k.seq}
	extendAt := m.lease.ExtendAt()
	if end := k.deadlineOf(extendAt); end.Before(k.safe) {
		k.safe = end
	}
	k.held[id] = m
	if !k.watching && !k.closed {
		k.watching = true
		k.tasks.Go(k.watch)
	}
	k.mu.Unlock()
	if old != nil {
		if !givenBack {
			k.lose([]*Message[K, T]{old}, cause)
		}
		old.Lease().End(cause) // also where another goroutine is about to do it
	}
	if time.Until(extendAt) < k.tenth() {
		select {
		case k.kick <- struct{}{}:
		default:
		}
	}
	return m, true
}

// Ack tells the broker that a message is finished. Only the first of Ack, Reject and GiveBack
// counts, and only while the lease lasts.
func (k *Keeper[K, T]) Ack(m *Message[K, T]) { k.settle(m, Ack, 0) }

// Reject hands a message to the broker's dead-letter mechanism.
func (k *Keeper[K, T]) Reject(m *Message[K, T]) { k.settle(m, Reject, 0) }

// GiveBack gives a message back to the broker, which delivers it to whomever, after delay.
func (k *Keeper[K, T]) GiveBack(m *Message[K, T], delay time.Duration) { k.settle(m, GiveBack, delay) }

func (k *Keeper[K, T]) settle(m *Message[K, T], op Op, delay time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.op != 0 || m.lost || k.held[m.id] != m || m.Lease().Ended() || k.closed {
		return
	}
	m.op, m.delay = op, delay
	if op == GiveBack {
		k.enqueue(&k.backs, m)
	} else {
		k.enqueue(&k.acks, m)
	}
}

// Held returns how many messages are held, acks that are not confirmed included.
func (k *Keeper[K, T]) Held() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held)
}

// unsettled is Held without acks.
func (k *Keeper[K, T]) unsettled() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held) - k.acks.open
}

// Entries returns what is held, oldest first, acks that are not confirmed included, and without
// what is given back. It is for brokers that ask what a client still has.
func (k *Keeper[K, T]) Entries() []Entry[K, T] {
	all := k.all()
	k.mu.Lock()
	all = slices.DeleteFunc(all, func(m *Message[K, T]) bool { return m.op == GiveBack || m.lost || m.Lease().Ended() })
	k.mu.Unlock()
	entries, _, _ := k.entries(all, Extend)
	return entries
}

// ErrTaken is the error that Send returns for an entry whose receipt the broker does not take any
// more. Its code is [leat.CodeLeaseLost].
var ErrTaken error = &leat.Error{
	Op: "lease", Code: leat.CodeLeaseLost, Err: errors.New("the broker has taken the message back"),
}

var errTerm error = &leat.Error{Op: "lease", Code: leat.CodeLeaseLost, Err: errors.New("the broker confirmed no extension in time")}

// Overdue reports whether the time of a lease is over and Lost was not told of it yet. A stream
// that keeps order asks before it delivers what has just come, which may be newer than what it is
// about to lose. It is cheap.
func (k *Keeper[K, T]) Overdue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if now.Before(k.safe) {
		return false
	}
	safe := now.Add(k.o.Term)
	for _, m := range k.held {
		switch end := k.deadline(m); {
		case m.lost:
			return true // Lost is being called
		case m.op == GiveBack:
		case m.Lease().Ended():
			return true
		case end.Before(safe):
			safe = end
		}
	}
	k.safe = safe
	return false
}

// Lose ends the leases of messages with a cause: the broker has taken them back. It calls Lost for
// each.
func (k *Keeper[K, T]) Lose(cause error, messages ...*Message[K, T]) { k.lose(messages, cause) }

// LoseAll is Lose for everything that is held.
func (k *Keeper[K, T]) LoseAll(cause error) { k.lose(k.all(), cause) }

// all returns what is held, oldest first.
func (k *Keeper[K, T]) all() []*Message[K, T] {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*Message[K, T], 0, len(k.held))
	for _, m := range k.held {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Message[K, T]) int { return cmp.Compare(a.seq, b.seq) })
	return all
}

// ReturnAll ends the leases of all messages that are not settled with a cause, calls Lost for each,
// and gives them back to the broker, in the order of Take, while their terms last. It is for
// brokers that make another consumer the active one, and wait for the messages of the first. What
// is settled is not affected. A returned message that comes again is a new one.
func (k *Keeper[K, T]) ReturnAll(cause error) {
	all := k.all()
	var back []*Message[K, T]
	k.mu.Lock()
	for _, m := range all {
		if m.op == 0 && !m.lost && k.held[m.id] == m && !m.Lease().Ended() && !k.closed {
			m.op, m.deadline, m.lost, m.cause = GiveBack, k.deadline(m), true, cause
			back = append(back, m)
		}
	}
	k.mu.Unlock()
	k.end(back, cause)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range back {
		k.enqueue(&k.backs, m)
	}
}

// returning reports whether a held message is given back.
func (k *Keeper[K, T]) returning(m *Message[K, T]) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return m.op == GiveBack
}

// lose ends the leases of messages and forgets them, once each. Settlements stop to count before
// that. A message that comes again meanwhile is a new one, which Take delivers when the old lease
// has ended.
func (k *Keeper[K, T]) lose(messages []*Message[K, T], cause error) {
	k.end(k.abandon(messages, cause), cause)
}

// abandon returns the messages that nobody else loses.
func (k *Keeper[K, T]) abandon(messages []*Message[K, T], cause error) []*Message[K, T] {
	k.mu.Lock()
	defer k.mu.Unlock()
	var mine []*Message[K, T]
	for _, m := range messages {
		if !m.lost {
			m.lost, m.cause = true, cause
			mine = append(mine, m)
		}
	}
	return mine
}

// end is lose for messages that are abandoned.
func (k *Keeper[K, T]) end(messages []*Message[K, T], cause error) {
	for _, m := range messages {
		var others []*Message[K, T]
		if k.o.Lost != nil {
			others = k.abandon(k.o.Lost(m, cause), cause)
		}
		for _, m := range append([]*Message[K, T]{m}, others...) {
			m.Lease().End(cause)
			k.forget(m)
		}
	}
	k.freed(len(messages))
}

// freed tells that n messages are not held any more. The lock is not held.
func (k *Keeper[K, T]) freed(n int) {
	if n > 0 && k.o.Freed != nil {
		k.o.Freed()
	}
}

// forget takes a message out whose lease has ended, and not one that has come in its place.
func (k *Keeper[K, T]) forget(m *Message[K, T]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[m.id] == m {
		delete(k.held, m.id)
	}
}

// Flush waits until the broker has confirmed every ack, or the lease of one it has not confirmed is
// over. It returns ctx's error when that ends first.
func (k *Keeper[K, T]) Flush(ctx context.Context) error { return k.wait(ctx, &k.acks) }

// Close flushes the acks, ends all leases in order, and gives what is unsettled back in the order
// of Take. ctx bounds it. Call it when nothing more can arrive. It returns an error when ctx ended
// before the broker had confirmed all acks. Closing twice returns nil.
func (k *Keeper[K, T]) Close(ctx context.Context) error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		select {
		case <-k.gone:
		case <-ctx.Done():
		}
		return nil
	}
	k.closed = true
	k.mu.Unlock()
	defer close(k.gone)
	err := k.Flush(ctx)
	k.handOver()
	if !k.o.Discard {
		_ = k.wait(ctx, &k.backs) // what is not given back comes at the end of its term
	}
	k.cancel()
	k.tasks.Wait()
	k.mu.Lock()
	clear(k.held)
	k.mu.Unlock()
	return err
}

// handOver ends the leases and lets everything go back that is not settled.
func (k *Keeper[K, T]) handOver() {
	all := k.all()
	if k.o.NewestFirst {
		slices.Reverse(all)
	}
	k.mu.Lock()
	for _, m := range all {
		switch {
		case m.op != 0: // the broker may have its ack, or gets its give-back
		case k.o.Discard || m.lost || m.Lease().Ended():
		default:
			m.op = GiveBack
			k.enqueue(&k.backs, m)
		}
	}
	// What is being lost ends with the cause of that.
	all = slices.DeleteFunc(all, func(m *Message[K, T]) bool { return m.lost })
	k.mu.Unlock()
	for _, m := range all {
		m.Lease().End(nil)
	}
}
