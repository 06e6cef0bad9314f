package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// Stream is the part of an adapter's stream whose messages have a lease each: a book, a [Keeper],
// and a goroutine that asks for messages. The adapter embeds it, and calls [Stream.Arrived] for
// what its broker sends:
//
//	s.Stream = lease.NewStream(lease.Options[string, string]{…}, book.Options{…})
//	s.Start(s.ask)
//
//	func (s *stream) ask(ctx context.Context, want lease.Want[string, string]) error {
//		asked := time.Now()
//		messages, err := receive(ctx, want.Events, want.Bytes, want.Stop)
//		for _, m := range messages {
//			s.Arrived(m.ID, m.Receipt, asked, &delivery, size)
//		}
//		return err
//	}
//
// Its Receive, Settle, Quiesce and Close are those of a [leat.Stream] and a [leat.Quiescer]. No
// method needs a lock.
type Stream[K comparable, T any] struct {
	keeper *Keeper[K, T]
	topic  string
	limit  int
	room   chan struct{}   // holds a token when there may be more room
	asking context.Context // ends when nothing more is to be asked for
	quiet  context.CancelFunc
	ctx    context.Context // ends when Close does not wait any longer
	cancel context.CancelFunc
	asked  chan struct{} // closed when nothing more can arrive

	mu      sync.Mutex // guards what follows; never held while a lease ends
	book    *book.Book[*Message[K, T]]
	window  *book.Window[*Message[K, T]]
	numbers map[*Message[K, T]]uint64 // in the window
	gap     bool
	gapped  chan struct{} // closed with gap; nil before the first want
	ordered bool
	free    chan struct{} // closed when there may be more room; nil while nobody waits in Await
	many    *asks         // nil while one request runs at a time
	failing error         // of the last ask
	since   time.Time     // when asks began to fail
}

// Want is what the broker may be asked for.
type Want[K comparable, T any] struct {
	// Events and Bytes are how many at most, both more than 0. A single event may be larger when
	// nothing is held.
	Events, Bytes int
	// Lost is closed when something of a stream that keeps order is lost, or comes again while it
	// is given back. What arrives after that may overtake it, and is given back, but for what
	// arrives after LoseAll: a call of ask that lasts should end, and with it what the broker
	// sends. It is nil with [Stream.StartMany].
	Lost <-chan struct{}
	// Held is what is held, oldest first, for brokers that want to know.
	Held []Entry[K, T]
	// Stop is closed when nothing more is to be asked for. What the request brings by then still
	// counts.
	Stop <-chan struct{}
	// Aside says that a request failed with err and that its ask goes on, to look for what the
	// broker may have lent by an answer that was lost. Another request may begin meanwhile. The
	// room for what comes stays reserved. It is nil with [Stream.Start].
	Aside func(err error)
}

// NewStream returns a Stream. Start and close it. It sets Lost and Freed of o, and
// Acks and Timed of b.
func NewStream[K comparable, T any](o Options[K, T], b book.Options) *Stream[K, T] {
	s := &Stream[K, T]{
		topic: b.Topic, limit: b.MaxInFlight, room: make(chan struct{}, 1), asked: make(chan struct{}),
		numbers: map[*Message[K, T]]uint64{}, ordered: !b.Unordered,
	}
	s.asking, s.quiet = context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	s.ctx, s.cancel = context.WithCancel(context.Background())   //nolint:gosec // Close calls it
	b.Acks, b.Timed = book.Each, true
	s.book = book.New[*Message[K, T]](&s.mu, b)
	s.window = s.book.Open(nil) // each message has a lease of its own
	o.Lost, o.Freed = s.lost, s.freed
	s.keeper = New(o)
	return s
}

// Start begins to ask. One goroutine calls ask again and again while there is room. ask asks the
// broker once, calls Arrived, and returns. Its ctx ends when Close does not wait any longer. After
// an error the next call waits 50 ms, then twice as long each time, up to a second.
func (s *Stream[K, T]) Start(ask func(ctx context.Context, want Want[K, T]) error) { go s.run(ask) }

// Failing returns what went wrong with the last call of ask, and since when all of them fail; nil
// when all is well. It is for the stream's health.
func (s *Stream[K, T]) Failing() (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, s.failing
}

func (s *Stream[K, T]) run(ask func(ctx context.Context, want Want[K, T]) error) {
	defer close(s.asked)
	var pause lifecycle.Pause
	for s.asking.Err() == nil {
		want := s.want()
		if want.Events <= 0 || want.Bytes <= 0 {
			select {
			case <-s.room:
			case <-s.asking.Done():
			}
			continue
		}
		err := ask(s.ctx, want)
		s.note(err)
		if err == nil {
			pause.Reset()
			continue
		}
		pause.Sleep(s.asking)
	}
}

// note notes what came of a call of ask.
func (s *Stream[K, T]) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.failing == nil {
		s.since = time.Now()
	}
	s.failing = err
}

// want returns what there is room for. What arrives after a loss may be later than what was lost,
// and would overtake it: until want is called the next time, it is given back.
func (s *Stream[K, T]) want() Want[K, T] {
	s.mu.Lock()
	if s.gap || s.gapped == nil {
		s.gap, s.gapped = false, make(chan struct{})
	}
	_, bytes := s.book.Room()
	lost := s.gapped
	s.mu.Unlock()
	held := s.keeper.Entries()
	return Want[K, T]{Events: s.limit - len(held), Bytes: bytes, Lost: lost, Held: held, Stop: s.asking.Done()}
}

// lack notes that something is missing which comes again later. The lock is held.
func (s *Stream[K, T]) lack() {
	if s.gap || !s.ordered {
		return
	}
	s.gap = true
	if s.gapped != nil {
		close(s.gapped)
	}
}

// Room returns how many events and bytes more there is room for. Acks that are not confirmed count
// as held.
func (s *Stream[K, T]) Room() (events, bytes int) {
	events = s.limit - s.keeper.Held()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, bytes = s.book.Room()
	return events, bytes
}

// Crowded reports whether the broker has sent more events than MaxInFlight. Acks that are not
// confirmed do not count, since a broker that has them may send more before its answer arrives.
func (s *Stream[K, T]) Crowded() bool { return s.keeper.unsettled() > s.limit }

// Await waits until there is room for half of MaxInFlight, or for less when nothing waits for
// Receive. It is for an ask that lasts, whose broker has pushed more than there was room for. It
// reports false when the ask has to end: ctx has ended, or Stop or Lost of its Want is closed.
func (s *Stream[K, T]) Await(ctx context.Context) bool {
	return s.await(ctx, func(events, bytes int, idle bool) bool {
		return events > 0 && bytes > 0 && (idle || 2*events >= s.limit)
	})
}

// AwaitRoom is Await for so much room. It is for an ask whose broker takes the room when the ask
// begins, and no more later.
func (s *Stream[K, T]) AwaitRoom(ctx context.Context, events, bytes int) bool {
	return s.await(ctx, func(e, b int, _ bool) bool { return e >= events && b >= bytes })
}

// await waits until there is enough room. idle says that nothing waits for Receive.
func (s *Stream[K, T]) await(ctx context.Context, enough func(events, bytes int, idle bool) bool) bool {
	s.mu.Lock()
	lost := s.gapped // nil before the first ask
	s.mu.Unlock()
	for ctx.Err() == nil && s.asking.Err() == nil {
		select {
		case <-lost:
			return false
		default:
		}
		s.mu.Lock()
		if s.free == nil {
			s.free = make(chan struct{})
		}
		free, idle := s.free, s.window.Fresh() == 0
		s.mu.Unlock()
		if events, bytes := s.Room(); enough(events, bytes, idle) {
			return true
		}
		select {
		case <-free:
		case <-lost:
		case <-s.asking.Done():
		case <-ctx.Done():
		}
	}
	return false
}

// freed says that there may be more room, since less is held.
func (s *Stream[K, T]) freed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
}

// signal says that there may be more room. The lock is held.
func (s *Stream[K, T]) signal() {
	lifecycle.Signal(s.room)
	if s.free != nil {
		close(s.free)
		s.free = nil
	}
}

// Arrived takes a message that arrived, see [Keeper.Take]. d is its delivery, without the lease,
// and size counts against MaxInFlightBytes. A message whose lease is over by now is not delivered:
// it comes again when the broker's term is over.
func (s *Stream[K, T]) Arrived(id K, value T, asked time.Time, d *leat.Delivery, size int) {
	m, fresh := s.keeper.Take(id, asked, value)
	if !fresh {
		if s.keeper.returning(m) { // it comes once more, and what comes after it would overtake it
			s.mu.Lock()
			s.lack()
			s.mu.Unlock()
		}
		return // it is held, and settled by the new value
	}
	d.Lease = m.Lease()
	if d.Lease.Ended() {
		s.keeper.Lose(errTerm, m)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.early {
		return
	}
	if s.many != nil {
		s.many.sized(size)
	} else if s.gap || s.ordered && s.keeper.Overdue() {
		s.keeper.GiveBack(m, 0)
		return
	}
	s.numbers[m] = s.window.Push(d, size, m)
}

// lost takes a message out of the book, and later ones of its key with it.
func (s *Stream[K, T]) lost(m *Message[K, T], _ error) (others []*Message[K, T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lack() // also when it has not come into the book yet
	number, ok := s.numbers[m]
	if !ok {
		m.early = true
		return nil
	}
	delete(s.numbers, m)
	others = s.window.Lose(number)
	for _, other := range others {
		delete(s.numbers, other)
	}
	return others
}

// LoseAll ends all leases with a cause: the broker has taken everything back. What arrives from now
// on is delivered.
func (s *Stream[K, T]) LoseAll(cause error) {
	s.keeper.LoseAll(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gap {
		s.gap, s.gapped = false, nil
	}
}

// Receive implements [leat.Stream].
func (s *Stream[K, T]) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	s.receives(true)
	defer s.receives(false)
	return s.book.Receive(ctx, into)
}

// Settle implements [leat.Stream].
func (s *Stream[K, T]) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, effect := s.book.Settle(d, how)
	switch effect {
	case book.Acked:
		s.keeper.Ack(m)
	case book.Rejected:
		s.keeper.Reject(m)
	case book.Returned:
		s.keeper.GiveBack(m, how.Delay)
	case book.None, book.GivenBack:
		return
	}
	delete(s.numbers, m)
}

// Quiesce implements [leat.Quiescer].
func (s *Stream[K, T]) Quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.Quiesce()
	s.quiet()
}

// Close implements [leat.Stream]: it awaits what was asked for, and then is [Keeper.Close].
func (s *Stream[K, T]) Close(ctx context.Context) error {
	s.mu.Lock()
	s.book.Shut(&leat.Error{Op: "receive", Topic: s.topic, Code: leat.CodeClosed, Err: errShut})
	s.mu.Unlock()
	s.quiet()
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	if deadline, ok := ctx.Deadline(); ok { // keep some time to give back what came
		timer := time.AfterFunc(time.Until(deadline)*9/10, s.cancel)
		defer timer.Stop()
	}
	<-s.asked
	defer s.cancel()
	return s.keeper.Close(ctx)
}

var errShut = errors.New("the stream is closed")
