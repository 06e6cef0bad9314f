package models

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"pgregory.net/rapid" //nolint:depguard // this module exists to keep it out of the others
)

// bufferEvents is the room of a group, small enough that publishes meet it.
const bufferEvents = 24

// shop is a memory broker with one topic, and beside it the model: for each group a list of its
// events, each queued, held or acked. All runs in one goroutine but what the broker does by its
// timers, which run while this one sleeps or waits.
type shop struct {
	rt     *rapid.T
	broker *memory.Broker
	past   []leat.Event // what was published, for groups to come
	groups []*modelGroup
	fault  error

	asleep atomic.Bool // only then timers call the model, and take mu for that
	mu     sync.Mutex
}

type modelGroup struct {
	sub     leat.Subscription
	entries []*modelEntry
	streams []*modelStream
	next    int // names streams
}

// modelEntry is an event in a group.
type modelEntry struct {
	offset     int64
	event      leat.Event
	acked      bool
	deliveries int
	from       time.Time // not delivered before
	held       *modelHold
}

// modelHold is a delivery.
type modelHold struct {
	delivery leat.Delivery
	entry    *modelEntry
	stream   *modelStream
	lease    *heldLease
}

// heldLease is a lease of which something was delivered.
type heldLease struct {
	lease   *leat.Lease
	release func() // set while it is draining
	ended   bool
}

type modelStream struct {
	name    string
	group   *modelGroup
	stream  *memory.Stream
	max     int
	stalled bool
	expires time.Time // its leases end by then, if it is stalled
	leases  map[*leat.Lease]*heldLease
	holds   []*modelHold
	over    []*modelHold // settled or lost: a settlement of them has no effect
}

func newShop(rt *rapid.T) *shop {
	return &shop{rt: rt, broker: memory.New(&memory.Options{Buffer: bufferEvents, LeaseDuration: leaseDuration})}
}

const leaseDuration = 30 * time.Second

func (s *shop) breaks(format string, args ...any) {
	if s.fault == nil {
		s.fault = fmt.Errorf(format, args...)
	}
}

func (e *modelEntry) String() string {
	return fmt.Sprintf("event %d with key %q", e.offset, e.event.Key())
}

func (e *modelEntry) keyed(g *modelGroup) bool { return e.event.Key() != "" && !g.sub.Unordered }

func (g *modelGroup) queued() int {
	n := 0
	for _, e := range g.entries {
		if !e.acked && e.held == nil {
			n++
		}
	}
	return n
}

func (g *modelGroup) add(e leat.Event) {
	g.entries = append(g.entries, &modelEntry{offset: int64(len(g.entries)), event: e})
}

// compare holds the broker's numbers against the model.
func (s *shop) compare(*rapid.T) {
	synctest.Wait()
	for _, g := range s.groups {
		held := 0
		for _, st := range g.streams {
			held += len(st.holds)
		}
		queued, unsettled, err := s.broker.Depth("t", g.sub.Group)
		if err != nil || queued != g.queued() || unsettled != held {
			s.breaks("group %s has %d queued and %d unsettled, the model %d and %d: %v", g.sub.Group, queued, unsettled, g.queued(), held, err)
		}
	}
	if s.fault != nil {
		s.rt.Fatalf("%v", s.fault)
	}
}

// publish publishes events and gives up at once where it would have to wait for room.
func (s *shop) publish(events []leat.Event) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	outcomes := make([]error, len(events))
	calls := make([]int, len(events))
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.broker.Publish(ctx, "t", events, func(i int, err error) {
			outcomes[i] = err
			calls[i]++
		})
	}()
	synctest.Wait()
	cancel()
	<-over
	full := false
	for i, e := range events {
		for _, g := range s.groups {
			full = full || g.queued() >= bufferEvents
		}
		if calls[i] != 1 {
			s.breaks("P1: done was called %d times", calls[i])
		}
		if full {
			if leat.CodeOf(outcomes[i]) != leat.CodeCanceled {
				s.breaks("a publish without room ended with %v", outcomes[i])
			}
			continue
		}
		if outcomes[i] != nil {
			s.breaks("a publish with room ended with %v", outcomes[i])
		}
		s.past = append(s.past, e)
		for _, g := range s.groups {
			g.add(e)
		}
	}
}

// declare makes a group, which starts with all that was published.
func (s *shop) declare(unordered bool) {
	g := &modelGroup{sub: leat.Subscription{Topic: "t", Group: fmt.Sprint("g", len(s.groups)), Unordered: unordered}}
	if err := s.broker.Declare(context.Background(), g.sub); err != nil {
		s.breaks("%w", err)
	}
	for _, e := range s.past {
		g.add(e)
	}
	s.groups = append(s.groups, g)
}

// join opens a stream. The broker may drain leases of the others for it.
func (s *shop) join(g *modelGroup, maxInFlight int) {
	sub := g.sub
	sub.MaxInFlight = maxInFlight
	stream, err := s.broker.Subscribe(context.Background(), sub)
	if err != nil {
		s.breaks("%w", err)
		return
	}
	g.next++
	g.streams = append(g.streams, &modelStream{
		name: fmt.Sprintf("%s-%d", g.sub.Group, g.next), group: g, stream: stream.(*memory.Stream), max: maxInFlight,
		leases: map[*leat.Lease]*heldLease{},
	})
}

// receive asks a stream for at most n deliveries, and checks each of them. It does not wait.
func (s *shop) receive(st *modelStream, n int) int {
	ctx, cancel := context.WithCancel(context.Background())
	into := make([]leat.Delivery, n)
	got := 0
	var err error
	over := make(chan struct{})
	go func() {
		defer close(over)
		got, err = st.stream.Receive(ctx, into)
	}()
	synctest.Wait()
	cancel()
	<-over
	switch {
	case got == 0 && leat.CodeOf(err) != leat.CodeCanceled, got > 0 && err != nil, got > n:
		s.breaks("R1: Receive returned %d and %v", got, err)
	case got == 0:
		s.checkNothing(st)
	}
	for _, d := range into[:got] {
		s.take(st, d)
	}
	return got
}

// take checks one delivery.
func (s *shop) take(st *modelStream, d leat.Delivery) {
	g := st.group
	if d.Position.Offset >= int64(len(g.entries)) {
		s.breaks("event %d was never published", d.Position.Offset)
		return
	}
	e := g.entries[d.Position.Offset]
	e.deliveries++
	switch {
	case !d.Event.Equal(e.event):
		s.breaks("%v came as %v", e, d.Event)
	case e.acked:
		s.breaks("%v came again after its ack", e)
	case e.held != nil:
		s.breaks("%v came to %s while %s holds it", e, st.name, e.held.stream.name)
	case e.deliveries != d.Deliveries:
		s.breaks("%v says delivery %d; it is the %d.", e, d.Deliveries, e.deliveries)
	case time.Now().Before(e.from):
		s.breaks("%v came %v before its delay had passed", e, time.Until(e.from))
	case d.Lease.Draining():
		s.breaks("%v came under a lease that is draining or over", e)
	case len(st.holds) >= st.max:
		s.breaks("R5: %v came beside %d; MaxInFlight is %d", e, len(st.holds), st.max)
	}
	if e.keyed(g) {
		s.checkOrder(st, e, d.Lease)
	}
	l := st.leases[d.Lease]
	if l == nil {
		l = &heldLease{lease: d.Lease}
		st.leases[d.Lease] = l
		d.Lease.Attach(
			func(release func()) { s.called(func() { l.release = release }) },
			func(error) { s.called(func() { s.ended(st, l) }) },
		)
	}
	e.held = &modelHold{delivery: d, entry: e, stream: st, lease: l}
	st.holds = append(st.holds, e.held)
}

// checkOrder checks that what came earlier of e's key is acked, or held under the same lease, and
// that nobody else holds any of it.
func (s *shop) checkOrder(st *modelStream, e *modelEntry, lease *leat.Lease) {
	for _, other := range st.group.entries {
		switch {
		case other == e || other.acked || other.event.Key() != e.event.Key():
		case other.held != nil && other.held.stream != st:
			s.breaks("R3: %v came to %s while %s holds %v", e, st.name, other.held.stream.name, other)
		case other.held != nil && other.held.lease.lease != lease:
			s.breaks("R3: %v and %v are held under two leases", e, other)
		case other.held == nil && other.offset < e.offset:
			s.breaks("R3: %v came before %v", e, other)
		case other.held != nil && other.offset > e.offset:
			s.breaks("T2: %v came after %v", e, other)
		}
	}
}

// checkNothing checks that a stream that got nothing had nothing to get. Which keys share a slot is
// the broker's secret, so keyed events are only looked at where that cannot matter: nothing in the
// group is held or waits for a time.
func (s *shop) checkNothing(st *modelStream) {
	if len(st.holds) >= st.max || st.stalled {
		return
	}
	calm := len(st.group.streams) == 1
	for _, l := range st.leases {
		calm = calm && l.release == nil // else it still has keys that it must not be given any more
	}
	for _, e := range st.group.entries {
		calm = calm && e.held == nil && !time.Now().Before(e.from)
	}
	for _, e := range st.group.entries {
		if !e.acked && e.held == nil && !time.Now().Before(e.from) && (calm || !e.keyed(st.group)) {
			s.breaks("%s got nothing, and %v waits", st.name, e)
		}
	}
}

func (st *modelStream) lapsed() bool { return st.stalled && !time.Now().Before(st.expires) }

// called runs what a lease tells the model: within an action, or from a timer while the sequence
// sleeps.
func (s *shop) called(f func()) {
	if s.asleep.Load() {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	f()
}

// ended is called when a lease of st is over: what it held goes back.
func (s *shop) ended(st *modelStream, l *heldLease) {
	l.ended = true
	delete(st.leases, l.lease)
	kept := st.holds[:0:0]
	for _, h := range st.holds {
		if h.lease != l {
			kept = append(kept, h)
			continue
		}
		h.entry.held = nil
		st.over = append(st.over, h)
	}
	st.holds = kept
}

// settle settles what st holds.
func (s *shop) settle(h *modelHold, how leat.Settlement) {
	st := h.stream
	st.holds = slices.DeleteFunc(st.holds, func(other *modelHold) bool { return other == h })
	st.over = append(st.over, h)
	h.entry.held = nil
	if how.Action == leat.Ack {
		h.entry.acked = true
		s.checkAckOrder(h)
	} else {
		h.entry.from = time.Now().Add(how.Delay)
	}
	st.stream.Settle(&h.delivery, how)
}

// checkAckOrder notes nothing: a client may ack the events of a key in any order. It checks that
// the model itself is sound.
func (s *shop) checkAckOrder(h *modelHold) {
	if h.lease.ended {
		s.breaks("the model acks %v under a lease that has ended", h.entry)
	}
}

// leave closes a stream.
func (s *shop) leave(st *modelStream) {
	st.group.streams = slices.DeleteFunc(st.group.streams, func(other *modelStream) bool { return other == st })
	if err := st.stream.Close(context.Background()); err != nil {
		s.breaks("%w", err)
	}
	if len(st.holds) > 0 {
		s.breaks("%s is closed and %d of its leases have not ended", st.name, len(st.leases))
	}
	if _, err := st.stream.Receive(context.Background(), make([]leat.Delivery, 1)); leat.CodeOf(err) != leat.CodeClosed {
		s.breaks("Receive of a closed stream returned %v", err)
	}
}

// lost checks that no lease of the streams is left after a crash or an expiry.
func (s *shop) lost(groups ...*modelGroup) {
	for _, g := range groups {
		for _, st := range g.streams {
			if len(st.holds)+len(st.leases) > 0 {
				s.breaks("%s still holds %d deliveries of %d leases", st.name, len(st.holds), len(st.leases))
			}
		}
	}
}
