package lease

import (
	"context"
	"sync"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// Asks says how a [Stream] asks with several requests at a time.
type Asks struct {
	// Most is how many requests run at a time.
	Most int
	// Batch is the most events of a request.
	Batch int
}

// lingers is for how long after a Receive the stream still asks for what the next one will take.
const lingers = 200 * time.Millisecond

// asks is the state of [Stream.StartMany], which the stream's lock guards.
type asks struct {
	Asks

	level     int // requests that may run at a time now
	running   int
	reserved  int // events that the running requests may bring
	mean      int // size of an event
	receiving bool
	received  time.Time // the end of the last Receive
	pause     lifecycle.Pause
	until     time.Time // no request begins before
}

// StartMany begins to ask like [Stream.Start], with several calls of ask at a time, and only for a
// Receive: while one waits, and for a moment after one. So a stream whose owner stands still takes
// nothing away from others. A single call runs while the broker has nothing; another one begins
// when a call has brought something. ask returns how many messages came. The next calls wait after
// an error, as with Start.
//
// It is for brokers that lend nothing of a key while they lend something earlier of it, such as
// FIFO queues of SQS, and for streams without order: what several requests bring has no order among
// them. Want.Held is nil.
func (s *Stream[K, T]) StartMany(a Asks, ask func(ctx context.Context, want Want[K, T]) (came int, err error)) {
	s.mu.Lock()
	s.many, s.keeper.o.Polled = &asks{Asks: a, level: 1}, true
	s.mu.Unlock()
	go s.runMany(ask)
}

func (s *Stream[K, T]) runMany(ask func(ctx context.Context, want Want[K, T]) (int, error)) {
	defer close(s.asked)
	var running sync.WaitGroup
	defer running.Wait()
	for s.asking.Err() == nil {
		want, wait := s.wantMany()
		if want.Events > 0 {
			running.Go(func() {
				r := &request[K, T]{s: s, events: want.Events}
				want.Aside = r.aside
				r.end(ask(s.ctx, want))
			})
			continue
		}
		var over <-chan time.Time
		timer := time.NewTimer(wait)
		if wait > 0 {
			over = timer.C
		}
		select {
		case <-s.room:
		case <-over:
		case <-s.asking.Done():
		}
		timer.Stop()
	}
}

// wantMany returns what the next request may ask for. No events mean that there is none now; wait
// is then after which time to look again, where that is known.
func (s *Stream[K, T]) wantMany() (want Want[K, T], wait time.Duration) {
	held := s.keeper.Held()
	s.mu.Lock()
	defer s.mu.Unlock()
	m, now := s.many, time.Now()
	if m.running >= m.level || !m.receiving && now.Sub(m.received) > lingers {
		return want, 0
	}
	if wait = m.until.Sub(now); wait > 0 {
		return want, wait
	}
	_, bytes := s.book.Room()
	bytes -= m.reserved * m.mean
	events := min(m.Batch, s.limit-held-m.reserved)
	if m.mean > 0 {
		events = min(events, bytes/m.mean)
	}
	if events <= 0 && held == 0 && m.reserved == 0 { // a single event may be larger
		events = 1
	}
	if bytes <= 0 && held > 0 || events <= 0 {
		return want, 0
	}
	m.running++
	m.reserved += events
	return Want[K, T]{Events: events, Bytes: max(bytes, 1), Stop: s.asking.Done()}, 0
}

// request is a call of ask.
type request[K comparable, T any] struct {
	s      *Stream[K, T]
	events int // that it may bring
	stands bool
}

func (r *request[K, T]) aside(err error) {
	r.s.mu.Lock()
	r.s.many.over(0, err)
	r.stands = true
	r.s.signal()
	r.s.mu.Unlock()
	r.s.note(err)
}

// end notes the end of a request.
func (r *request[K, T]) end(came int, err error) {
	if !r.stands {
		r.s.note(err)
	}
	r.s.mu.Lock()
	m := r.s.many
	m.reserved -= r.events
	if !r.stands {
		m.over(came, err)
	}
	r.s.signal()
	r.s.mu.Unlock()
}

// over notes what came of a request. The lock is held.
func (m *asks) over(came int, err error) {
	m.running--
	switch {
	case err != nil && time.Now().Before(m.until): // one of several that failed together
	case err != nil:
		m.level = max(m.level/2, 1)
		m.until = time.Now().Add(m.pause.Next())
	case came == 0:
		m.level = max(m.level-1, 1)
		m.pause.Reset()
	default:
		m.level = min(m.level+1, m.Most)
		m.pause.Reset()
	}
}

// sized notes the size of an event that came. The lock is held.
func (m *asks) sized(size int) {
	if m.mean == 0 {
		m.mean = size
	}
	m.mean += (size - m.mean) / 8
}

// receives notes that a Receive begins or ends, which takes what waits.
func (s *Stream[K, T]) receives(begins bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.many != nil {
		s.many.receiving, s.many.received = begins, time.Now()
	}
	if s.many != nil && begins || s.free != nil {
		s.signal()
	}
}
