package nats

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go/jetstream"
)

// pin is what a stream of an ordered group knows of its role. Stream.mu guards it.
//
// A server delivers to one client of the consumer, until that has made no request for PinnedTTL,
// and does not tell a client that is replaced. The next one gets new messages before those that the
// first one held.
type pin struct {
	id       string // by which this stream is the active one; "" is standby
	delivery uint64 // of the last message of this session; 0 while there is none
	barrier  *barrier
	early    []early // what has come while there is a barrier
}

// barrier holds back what comes after the stream has become the active one, or has lost messages,
// until nothing is missing that is older.
//
// What waits is bounded by MaxInFlightBytes, with one message more while that is compared. The
// newest ones of what does not fit go back to the server, which keeps them for a while. They are
// newer than all that waits, so the barrier can be lifted without them. Another one takes its place
// then, until they have come again.
type barrier struct {
	since   time.Time
	raised  time.Time // the last time that something may have been lost
	missing int       // at the last look, less what has come since
	wait    time.Duration
	next    time.Time           // nobody looks before
	away    map[uint64]struct{} // sequences that went back
	from    uint64              // the lowest of them; 0 for none
}

var errUnpinned = errors.New("the server has made another stream of the group the active one")

// raise raises the barrier, if this is the active stream. One that is up already is not lifted by
// what the server is saying now, and waits for messages from now on. The lock is held, as by all
// that follow unless they say otherwise.
func (s *Stream) raise() {
	s.changes++
	if !s.ordered || s.pin.id == "" {
		return
	}
	now := time.Now()
	if s.pin.barrier == nil {
		s.pin.barrier = &barrier{since: now}
	}
	s.pin.barrier.raised = now
}

// pinnedBy notes under which pin a message came, and returns false for one that is not this
// stream's. With a new pin a new period begins.
func (s *Stream) pinnedBy(ids []string, session int) bool {
	switch {
	case len(ids) == 0:
		return false
	case ids[0] == s.pin.id:
		return true
	case session != s.pulls.session:
		return false
	case s.pin.id != "": // taken away, and given to this stream again: run finds out
		s.lookSoon()
		return false
	}
	now := time.Now()
	s.pin.id, s.pin.delivery, s.identity.looked, s.pulls.at = ids[0], 0, now, now
	s.raise()
	return true
}

// follow raises the barrier where deliveries are missing before a message. All of the consumer come
// to the active stream, and by one connection, so one that is missing was lost between servers. It
// comes again after newer ones.
//
// An ack that was lost there is not noticed. Its message comes again like one that the server has
// forgotten to have delivered. To finish it without delivery would lose an event whenever the
// stream is wrong about that, and a barrier has nothing to hold back: what is newer was delivered
// before.
func (s *Stream) follow(from *origin) {
	if last := s.pin.delivery; last != 0 && from.delivery != last+1 {
		s.raise()
	}
	s.pin.delivery = from.delivery
}

// holdBack keeps a message behind the barrier, or gives back what there is no room for.
func (s *Stream) holdBack(e early) {
	b := s.pin.barrier
	s.pin.early = append(s.pin.early, e)
	if b.missing--; b.missing == 0 { // it may have been the last one
		b.wait, b.next = 0, time.Time{}
	}
	if b.from != 0 && e.of.seq >= b.from {
		s.sendAway(len(s.pin.early) - 1)
	}
	for events, bytes := s.held(); bytes > s.sub.MaxInFlightBytes && events > 1 && len(s.pin.early) > 0; events, bytes = s.held() {
		newest := 0
		for i, e := range s.pin.early {
			if e.of.seq > s.pin.early[newest].of.seq {
				newest = i
			}
		}
		s.sendAway(newest)
	}
	lifecycle.Signal(s.poke)
}

// sendAway gives back a message that waits behind the barrier.
func (s *Stream) sendAway(i int) {
	b, of := s.pin.barrier, s.pin.early[i].of
	s.pin.early = slices.Delete(s.pin.early, i, i+1)
	if b.away == nil {
		b.away, b.from = map[uint64]struct{}{}, of.seq
	}
	b.away[of.seq] = struct{}{}
	b.from = min(b.from, of.seq)
	s.changes++
	s.keeper.GiveBack(of.lent, s.ackWait/4) // each time counts as a delivery, so not at once
}

// known returns how many messages the server waits for that the stream knows of.
func (s *Stream) known() int {
	events, _ := s.held()
	if s.pin.barrier != nil {
		events += len(s.pin.barrier.away)
	}
	return events
}

// release lets what waits behind the barrier go on, in order.
func (s *Stream) release() {
	slices.SortFunc(s.pin.early, func(a, b early) int { return cmp.Compare(a.of.seq, b.of.seq) })
	for _, e := range s.pin.early {
		e.of.number = s.window.Push(&e.d, e.of.size, e.of)
	}
	away := len(s.pin.barrier.away) > 0
	s.pin.early, s.pin.barrier = nil, nil
	if away {
		s.raise()
	}
}

// lookBehind lifts the barrier when nothing is missing, and returns when to look again. changes are
// those before the question. What the server owes comes within two AckWaits: requests of a dead
// client may take it for one more. Should the consumer have been given out more than this stream
// may hold, the stream then goes on when it is full. After twice that time it goes on in any case.
// The lock is not held.
func (s *Stream) lookBehind(b *barrier, missing int, changes uint64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b == nil || s.pin.barrier != b {
		return never
	}
	now := time.Now()
	b.wait = min(max(2*b.wait, 5*time.Millisecond), 200*time.Millisecond)
	b.next = now.Add(b.wait)
	if s.changes != changes { // an ack on its way, or a loss, would hide a message
		return b.wait
	}
	b.missing = missing
	events, _ := s.held() // what has been asked for and did not come takes no room
	waited, full := now.Sub(b.raised), events >= max(s.sub.MaxInFlight, s.mostPending)
	if missing > 0 && waited < 4*s.ackWait && (!full || waited < 2*s.ackWait) {
		return b.wait
	}
	if missing > 0 {
		s.b.o.Logger.Warn("a stream goes on, although older messages are missing",
			"topic", s.sub.Topic, "group", s.sub.Group, "missing", missing)
	}
	s.release()
	lifecycle.Signal(s.poke)
	return 0
}

// unpinned ends all leases, because another stream is the active one or will be. The Consumer logs
// that. The lock is not held.
func (s *Stream) unpinned() {
	s.mu.Lock()
	if s.pin.id == "" || s.closed {
		s.mu.Unlock()
		return
	}
	s.pin.id, s.pin.barrier = "", nil
	s.renew() // the requests with the old pin wait until they are over, or a message comes
	s.mu.Unlock()
	s.keeper.ReturnAll(errUnpinned)
	lifecycle.Signal(s.poke)
}

// keepPin tells the server that the active stream is alive, by a request that no message is small
// enough for.
func (s *Stream) keepPin() {
	if s.pin.id != "" && time.Since(s.pulls.at) > s.pinnedTTL/3 && s.b.link.alive() {
		s.request(&request{Expires: time.Millisecond, Batch: 1, Bytes: 1}, s.pulls.inbox+pinToken)
	}
}

func holder(i *jetstream.ConsumerInfo) string {
	for _, g := range i.PriorityGroups {
		if g.Group == pinGroup {
			return g.PinnedClientID
		}
	}
	return ""
}

// unpin lets another stream become the active one, while this one still is: the request names no
// client. The lock is not held.
func (s *Stream) unpin(ctx context.Context, id string) {
	i, err := s.info(ctx)
	if err != nil || holder(i) != id {
		return
	}
	_ = s.b.link.do(ctx, func(ctx context.Context) error {
		subject := s.b.api("CONSUMER.UNPIN." + s.stream + "." + s.consumer)
		_, err := s.b.link.nc.RequestWithContext(ctx, subject, []byte(`{"group":"`+pinGroup+`"}`))
		return err
	})
}
