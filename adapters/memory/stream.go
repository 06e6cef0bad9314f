package memory

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// Stream is the [leat.Stream] of a [Broker]. It also implements [leat.HealthReporter]. It is no
// [leat.Quiescer], since it fetches nothing ahead: what nobody receives stays in the group.
type Stream struct {
	group        *group
	maxEvents    int
	maxBytes     int
	capabilities leat.Capabilities
	token        chan struct{} // holds a token when a waiting Receive must look again

	// load is what is unsettled: the number in the upper bits, the bytes in the lower loadShift
	// bits. It grows under the topic's lock only; Settle lowers it without.
	load atomic.Uint64
	// full says that Receive waits for load to fall. Settle lowers load first and then looks at
	// full; Receive sets full first and then looks at load.
	full atomic.Bool
	// watched counts the tenures whose slot waits for their flight to be settled, so that Settle
	// must look.
	watched atomic.Int32

	// Guarded by the topic's lock:
	closed     bool
	idle       bool          // Receive waits for events; counted in group.idle
	shared     *tenure       // of the group's shared queue; nil when lapsed
	ready      ring[*tenure] // of slots with something to deliver, each at most once
	slotsFirst bool          // where the next fill begins, so that neither kind of event starves
	share      int           // how many slots it should own
	stalled    bool          // its lease is not extended
	lapsed     bool          // its lease ran out and was not extended since
	lapsedAt   time.Time
	deadline   time.Time // when its lease runs out
	timer      *time.Timer
}

var (
	_ leat.Stream         = (*Stream)(nil)
	_ leat.HealthReporter = (*Stream)(nil)
)

const (
	loadShift = 40
	loadMask  = 1<<loadShift - 1
)

func newStream(g *group, sub leat.Subscription) *Stream {
	sub = sub.WithDefaults()
	s := &Stream{group: g, token: make(chan struct{}, 1), maxEvents: sub.MaxInFlight, maxBytes: sub.MaxInFlightBytes}
	s.maxEvents = min(s.maxEvents, 1<<(63-loadShift))
	s.maxBytes = min(s.maxBytes, loadMask/2)
	s.capabilities = leat.Capabilities{History: !g.broadcast, DeliveryCount: true, Broadcast: g.broadcast, LongestDelay: longestDelay}
	if g.ordered {
		s.capabilities.Order = leat.OrderPerGroup
	}
	s.startLease()
	return s
}

// Capabilities returns what the subscription holds: order per group unless it is Unordered, history
// unless it is a broadcast, a delivery count, and delays up to 24 h.
func (s *Stream) Capabilities() leat.Capabilities { return s.capabilities }

// Receive implements [leat.Stream]. An empty into is an error with [leat.CodeInvalid].
func (s *Stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	t := s.group.topic
	if len(into) == 0 {
		return 0, &leat.Error{Op: "receive", Topic: t.name, Code: leat.CodeInvalid, Err: errors.New("no room to receive into")}
	}
	if ctx.Err() != nil {
		return 0, canceled(ctx, "receive", t.name)
	}
	for {
		t.mu.Lock()
		if s.closed {
			t.mu.Unlock()
			return 0, &leat.Error{Op: "receive", Topic: t.name, Code: leat.CodeClosed, Err: errors.New("the stream is closed")}
		}
		load := s.load.Load()
		n, short := s.fill(into, load)
		if n > 0 {
			t.offerRoom()
			s.group.wakeIdle() // for what this stream left
			t.mu.Unlock()
			return n, nil
		}
		if !short {
			s.idle = true
			s.group.idle++
		}
		t.mu.Unlock()
		if short {
			s.full.Store(true)
			if s.load.Load() != load {
				continue
			}
		}
		select {
		case <-s.token:
		case <-ctx.Done():
			s.stopWaiting()
			return 0, canceled(ctx, "receive", t.name)
		}
	}
}

// stopWaiting is for a Receive that leaves without a delivery: one that was woken for an event
// hands that on.
func (s *Stream) stopWaiting() {
	s.full.Store(false)
	t := s.group.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.idle {
		s.idle = false
		s.group.idle--
	}
	s.group.wakeIdle()
}

// wake lets an idle Receive look again. The caller holds the lock.
func (s *Stream) wake() {
	if s.idle {
		s.idle = false
		s.group.idle--
	}
	s.signal()
}

func (s *Stream) signal() {
	select {
	case s.token <- struct{}{}:
	default:
	}
}

// settled lowers the load and lets a Receive that waits for that look again.
func (s *Stream) settled(n, bytes int) {
	s.load.Add(-(uint64(n)<<loadShift + uint64(bytes)))
	if s.full.Load() && s.full.CompareAndSwap(true, false) {
		s.signal()
	}
}

// Settle implements [leat.Stream]. It takes no lock for an Ack, unless an event of the same slot
// was given back. NativeReject has no effect, since [Stream.Capabilities] does not offer it. Delays
// are exact to the timer and cut to 24 h.
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	e, ok := d.Handle.(*entry)
	if !ok {
		return
	}
	switch how.Action {
	case leat.Ack:
		// The size belongs to this delivery if the move succeeds, as the entry cannot be used again
		// before.
		bytes := e.bytes()
		if !e.move(d.Tag, stateHeld, stateAcked) {
			return
		}
		s.settled(1, bytes)
		if s.watched.Load() > 0 {
			s.lookAtWatched()
		}
	case leat.GiveBack:
		t := s.group.topic
		t.mu.Lock()
		defer t.mu.Unlock()
		if e.move(d.Tag, stateHeld, stateQueued) {
			s.settled(1, e.bytes())
			s.group.giveBack(e, how.Delay)
		}
	}
}

// lookAtWatched unblocks slots whose last delivery in flight may have been settled just now.
func (s *Stream) lookAtWatched() {
	t := s.group.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, sl := range s.group.slots {
		if sl.tenure != nil && sl.tenure.watched && sl.tenure.stream == s {
			s.group.unblock(sl)
		}
	}
}

// Close implements [leat.Stream]. It does not block: there is nothing to flush. Leases end in
// order, and what is not settled goes to the other streams at once.
func (s *Stream) Close(context.Context) error {
	g := s.group
	g.topic.mu.Lock()
	if s.closed {
		g.topic.mu.Unlock()
		return nil
	}
	s.closed = true
	s.timer.Stop()
	g.remove(s)
	retired := g.retireAll(s, nil)
	g.topic.mu.Unlock()
	s.signal()
	g.conclude(retired)
	return nil
}
