package eventtest_test

import (
	"context"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// delivered names a delivery by what the broker finds it by.
type delivered struct {
	handle any
	tag    uint64
}

// unsettled is a delivery that is not settled.
type unsettled struct {
	d     leat.Delivery // as the broker gave it
	since time.Time
	above int // settled ones that came later
	order int
}

// shellStream is a stream of a shell.
type shellStream struct {
	leat.Stream

	b   *shell
	sub leat.Subscription

	mu      sync.Mutex
	pending []func()           // settlements that wait for the end of a pause
	extra   []leat.Delivery    // to be received before what the broker has
	kick    context.CancelFunc // ends the wait for the broker, because there is extra
	held    map[delivered]*unsettled
	count   int
	leases  map[*leat.Lease]*leat.Lease // by the broker's
	note    int                         // for the defect's use
	batch   []leat.Delivery             // likewise
}

// Capabilities says that events survive a crash, as they do the one that the harness makes.
func (s *shellStream) Capabilities() leat.Capabilities {
	c := s.Stream.Capabilities()
	c.Durable = true
	return c
}

func (s *shellStream) Health() error { return healthOf(s.Stream) }

func (s *shellStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		receive := (*shellStream).receive
		if s.b.d.receive != nil {
			receive = s.b.d.receive
		}
		n, err := receive(s, ctx, into)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// receive takes what was injected, or what the broker has. It may return nothing at all.
func (s *shellStream) receive(ctx context.Context, into []leat.Delivery) (int, error) {
	if err := s.b.d.gate.wait(ctx, s.b.over); err != nil {
		return 0, err
	}
	s.flush()
	s.mu.Lock()
	if n := copy(into, s.extra); n > 0 {
		s.extra = s.extra[n:]
		s.mu.Unlock()
		return n, nil
	}
	kicked, kick := context.WithCancel(ctx)
	defer kick()
	s.kick = kick
	s.mu.Unlock()
	n, err := s.Stream.Receive(kicked, into)
	if err != nil && ctx.Err() == nil && kicked.Err() != nil {
		return 0, nil
	}
	if waitErr := s.b.d.gate.wait(ctx, s.b.over); waitErr != nil {
		return 0, waitErr
	}
	for i := range n {
		s.hold(&into[i])
	}
	return n, err
}

func (s *shellStream) hold(d *leat.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	s.held[delivered{d.Handle, d.Tag}] = &unsettled{d: *d, since: time.Now(), order: s.count}
	if s.b.d.leases != nil {
		own := s.leases[d.Lease]
		if own == nil || own.Ended() {
			own = s.b.d.leases(s, d.Lease)
			s.leases[d.Lease] = own
		}
		d.Lease = own
	}
}

// inject lets Receive return d, which the broker knows nothing about, under a lease of its own.
func (s *shellStream) inject(d leat.Delivery) {
	d.Handle, d.Tag, d.Lease = nil, 0, leat.NewLease()
	s.deliver(d)
}

// deliver lets Receive return d.
func (s *shellStream) deliver(d leat.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = append(s.extra, d)
	if s.kick != nil {
		s.kick()
	}
}

func (s *shellStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if s.b.d.settle != nil {
		s.b.d.settle(s, d, how)
		return
	}
	s.settle(d, how)
}

func (s *shellStream) settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	key := delivered{d.Handle, d.Tag}
	if u := s.held[key]; u != nil {
		for _, other := range s.held {
			if other.order < u.order {
				other.above++
			}
		}
		delete(s.held, key)
	}
	s.mu.Unlock()
	if s.b.d.gate.paused() {
		own := *d
		s.mu.Lock()
		s.pending = append(s.pending, func() { s.Stream.Settle(&own, how) })
		s.mu.Unlock()
		return
	}
	s.flush()
	s.Stream.Settle(d, how)
}

// Quiesce is what the defect makes of it, or what the stream behind does.
func (s *shellStream) Quiesce() {
	if s.b.d.quiesce != nil {
		s.b.d.quiesce(s)
		return
	}
	quiesce(s.Stream)
}

// flush settles what waited for the end of a pause.
func (s *shellStream) flush() {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, settle := range pending {
		settle()
	}
}

// isHeld reports whether a delivery of the broker is not settled, and what it was.
func (s *shellStream) isHeld(d *leat.Delivery) (unsettled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.held[delivered{d.Handle, d.Tag}]
	if u == nil {
		return unsettled{}, false
	}
	return *u, true
}

func (s *shellStream) Close(ctx context.Context) error {
	if s.b.d.closeStream != nil {
		return s.b.d.closeStream(s, ctx)
	}
	return s.close(ctx)
}

func (s *shellStream) close(ctx context.Context) error {
	if err := s.b.d.gate.wait(ctx, s.b.over); err != nil {
		_ = s.Stream.Close(ctx)
		return &leat.Error{Op: "close", Topic: s.sub.Topic, Code: leat.CodeUnavailable, Err: err}
	}
	s.flush()
	return s.Stream.Close(ctx)
}
