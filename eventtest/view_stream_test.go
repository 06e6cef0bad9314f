package eventtest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// viewStream is a stream of a view. The broker extends no lease of it by itself: the stream does
// that, from time to time, and gives the deliveries leases of its own, which end by its own clock.
type viewStream struct {
	v      *view
	sub    leat.Subscription
	leases *leat.TimedLeases

	mu     sync.Mutex
	inner  *memory.Stream
	held   map[*leat.Lease]*viewLease // by the broker's
	asked  time.Time                  // when the extension began that the broker confirmed last
	late   []func()                   // what waits in the connection, either way
	kick   context.CancelFunc         // ends a wait for the broker
	timer  *time.Timer
	closed bool
	over   chan struct{} // closed by Close
	muted  atomic.Bool   // for a mutant
	lapsed atomic.Bool   // it has lost a lease by its own clock, for a mutant
}

// viewLease is a lease as the client sees it.
type viewLease struct {
	*leat.TimedLease

	told bool // the broker has told that it ended
}

var (
	_ leat.Stream         = (*viewStream)(nil)
	_ leat.HealthReporter = (*viewStream)(nil)
)

// beats is how often a stream reports within a term: often enough for a machine that is busy with
// other tests.
const beats = 5

func newViewStream(ctx context.Context, v *view, sub leat.Subscription) (*viewStream, error) {
	s := &viewStream{v: v, sub: sub, leases: leat.NewTimedLeases(v.flaws.term), held: map[*leat.Lease]*viewLease{}, over: make(chan struct{})}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(viewTerm/beats, s.tick)
	return s, nil
}

// connect opens the stream at the broker.
func (s *viewStream) connect(ctx context.Context) error {
	asked := time.Now()
	opened, err := s.v.broker.Subscribe(ctx, s.sub)
	if err != nil {
		return err
	}
	inner, _ := opened.(*memory.Stream)
	inner.StallLease(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inner, s.asked = inner, asked
	return nil
}

func (s *viewStream) broker() *memory.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner
}

func (s *viewStream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// wake ends a wait for the broker.
func (s *viewStream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kick != nil {
		s.kick()
	}
}

// send does what goes through the connection, in either direction, now or when that can be.
func (s *viewStream) send(f func()) {
	s.v.mu.Lock()
	if s.v.away == nil {
		s.v.mu.Unlock()
		f()
		return
	}
	s.mu.Lock()
	s.late = append(s.late, f)
	s.mu.Unlock()
	s.v.mu.Unlock()
}

// flush does what waited.
func (s *viewStream) flush() {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, f := range late {
		f()
	}
}

func (s *viewStream) tick() {
	if s.isClosed() {
		return
	}
	if !s.v.isAway() {
		s.beat()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.timer.Reset(viewTerm / beats)
	}
}

// beat extends the leases, and connects again where one had ended before that.
func (s *viewStream) beat() {
	if s.isClosed() || s.muted.Load() {
		return
	}
	inner, asked := s.broker(), time.Now()
	inner.StallLease(false)
	inner.StallLease(true)
	lost := false
	s.mu.Lock()
	s.asked = asked
	for _, l := range s.held {
		if !l.Extended(asked) && !l.told {
			lost = true
		}
	}
	s.mu.Unlock()
	if lost {
		s.reconnect()
	}
}

var errLapsed = errors.New("the lease was not extended in time")

// reconnect gives up what the broker thinks that the stream has, and begins anew.
func (s *viewStream) reconnect() {
	s.mu.Lock()
	old, held := s.inner, s.held
	s.held = map[*leat.Lease]*viewLease{}
	s.mu.Unlock()
	s.lapsed.Store(true)
	for _, l := range held {
		l.Lease().End(errLapsed)
	}
	_ = old.Close(context.Background())
	_ = s.connect(context.Background())
	s.wake()
}

// lease returns the client's lease for one of the broker's.
func (s *viewStream) lease(inner *leat.Lease) *viewLease {
	s.mu.Lock()
	l := s.held[inner]
	if l != nil {
		s.mu.Unlock()
		return l
	}
	l = &viewLease{TimedLease: s.leases.New(s.asked)}
	s.held[inner] = l
	s.mu.Unlock()
	inner.Attach(
		func(release func()) { s.send(func() { l.Lease().Drain(func() { s.send(release) }) }) },
		func(cause error) { s.send(func() { s.ended(inner, l, cause) }) },
	)
	return l
}

// ended is what the broker tells.
func (s *viewStream) ended(inner *leat.Lease, l *viewLease, cause error) {
	s.mu.Lock()
	l.told = true
	delete(s.held, inner)
	s.mu.Unlock()
	if s.v.flaws.keepsLost && cause != nil && strings.Contains(cause.Error(), "made to expire") {
		return
	}
	l.Lease().End(cause)
}

// reach waits until the broker can be reached, for a Receive.
func (s *viewStream) reach(ctx context.Context) error {
	s.v.mu.Lock()
	away := s.v.away
	s.v.mu.Unlock()
	if away == nil {
		return nil
	}
	select {
	case <-away:
		return nil
	case <-s.over:
		return &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: leat.CodeClosed, Err: errors.New("the stream is closed")}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *viewStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		if err := s.reach(ctx); err != nil {
			return 0, err
		}
		kicked, kick := context.WithCancel(ctx)
		s.mu.Lock()
		inner := s.inner
		s.kick = kick
		s.mu.Unlock()
		if s.v.isAway() {
			kick()
			continue
		}
		n, err := inner.Receive(kicked, into)
		kick()
		if err != nil && ctx.Err() == nil {
			if s.isClosed() {
				return 0, &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: leat.CodeClosed, Err: errors.New("the stream is closed")}
			}
			if kicked.Err() != nil || inner != s.broker() {
				continue
			}
		}
		if n = s.admit(into[:n]); n > 0 || err != nil {
			return n, err
		}
	}
}

// admit gives deliveries their leases, and leaves out those whose lease has ended.
func (s *viewStream) admit(ds []leat.Delivery) (kept int) {
	for i := range ds {
		d := ds[i]
		d.Lease = s.lease(d.Lease).Lease()
		if !d.Lease.Ended() {
			ds[kept] = d
			kept++
		}
	}
	if mutes := s.v.flaws.mutes; mutes != nil && slices.ContainsFunc(ds[:kept], func(d leat.Delivery) bool { return mutes(&d) }) {
		s.muted.Store(true)
	}
	if s.v.flaws.received != nil {
		s.v.flaws.received(s, ds[:kept])
	}
	return kept
}

func (s *viewStream) Settle(d *leat.Delivery, how leat.Settlement) {
	inner, own, late, ended := s.broker(), *d, s.v.flaws.late, d.Lease.Ended()
	switch {
	case !ended && late == nil:
		s.send(func() { inner.Settle(&own, how) })
	case late != nil:
		s.send(func() { late(s, &own, how, ended) })
	}
}

func (s *viewStream) Capabilities() leat.Capabilities { return s.broker().Capabilities() }

func (s *viewStream) Health() error {
	if s.v.isAway() {
		return unreachable("receive", s.sub.Topic)
	}
	return s.broker().Health()
}

func (s *viewStream) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.over)
	s.timer.Stop()
	s.mu.Unlock()
	if closing := s.v.flaws.closing; closing != nil {
		closing(s)
	}
	s.wake()
	inner := s.broker()
	if err := s.v.reach(ctx, "close", s.sub.Topic); err != nil || s.v.isAway() {
		s.end()
		s.send(func() { _ = inner.Close(context.Background()) })
		return unreachable("close", s.sub.Topic)
	}
	err := inner.Close(ctx)
	s.end()
	return err
}

// end ends the leases, those that the broker has ended already excepted.
func (s *viewStream) end() {
	s.mu.Lock()
	held := s.held
	s.held = map[*leat.Lease]*viewLease{}
	s.mu.Unlock()
	for _, l := range held {
		l.Lease().End(nil)
	}
}
