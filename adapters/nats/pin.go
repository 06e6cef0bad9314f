package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pin is what a stream of an ordered group knows of its role. Stream.mu guards it.
//
// A server delivers to one client of the consumer, until that has made no request for PinnedTTL,
// and does not tell a client that is replaced. The next one gets new messages before those that the
// first one held.
type pin struct {
	id      string // by which this stream is the active one; "" is standby
	seen    time.Time
	doubt   bool // an advisory says that a pin is gone
	barrier *barrier
	early   []early // what has come while there is a barrier
}

// barrier holds back what comes after the stream has become the active one, or has lost messages,
// until nothing is missing that is older.
type barrier struct {
	since   time.Time
	missing int // at the last look
	wait    time.Duration
}

var errUnpinned = errors.New("the server has made another stream of the group the active one")

// pinnedBy notes under which pin a message came, and returns false for one that is not this
// stream's. With a new pin a new period begins. The lock is held.
func (s *Stream) pinnedBy(ids []string, session int) bool {
	switch {
	case len(ids) == 0:
		return false
	case ids[0] == s.pin.id:
		return true
	case session != s.pulls.session:
		return false
	case s.pin.id != "": // taken away, and given to this stream again: run finds out
		s.pin.doubt = true
		signal(s.poke)
		return false
	}
	now := time.Now()
	s.pin.id, s.pin.seen, s.pulls.at = ids[0], now, now
	s.pin.barrier = &barrier{since: now}
	return true
}

// unpinned ends all leases, because another stream is the active one or will be.
func (s *Stream) unpinned(cause error) {
	s.mu.Lock()
	if s.pin.id == "" || s.closed {
		s.mu.Unlock()
		return
	}
	s.pin.id, s.pin.barrier = "", nil
	s.renew() // the requests with the old pin wait until they are over, or a message comes
	s.mu.Unlock()
	s.b.o.Logger.Warn("a stream is not the active one of its group any more",
		"topic", s.sub.Topic, "group", s.sub.Group, "error", cause)
	s.keeper.ReturnAll(cause)
	signal(s.poke)
}

// doubtPin makes the stream look whether it is the active one.
func (s *Stream) doubtPin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pin.doubt = true
	signal(s.poke)
}

// keepPin tells the server that the active stream is alive, by a request that no message is small
// enough for. The lock is held.
func (s *Stream) keepPin() {
	if s.pin.id != "" && time.Since(s.pulls.at) > s.pinnedTTL/3 {
		s.request(&request{Expires: time.Millisecond, Batch: 1, Bytes: 1}, s.pulls.inbox+pinToken)
	}
}

// watchPin looks whether the stream is still the active one, since it may not be told, and whether
// the barrier can be lifted. It returns when to look again.
func (s *Stream) watchPin() time.Duration {
	s.mu.Lock()
	id, now, b := s.pin.id, time.Now(), s.pin.barrier
	due := id != "" && !s.closed && (b != nil || s.pin.doubt || now.Sub(s.pin.seen) > s.pinnedTTL/2)
	changes, held := s.changes, 0
	if due {
		s.pin.doubt, s.pin.seen = false, now
		held, _ = s.held()
	}
	s.mu.Unlock()
	if !due || !s.b.link.alive() {
		return never
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.pinnedTTL)
	defer cancel()
	i, err := s.info(ctx)
	if err != nil {
		return lookEvery // health has it from the requests
	}
	if holder(i) != id {
		s.unpinned(errUnpinned)
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b == nil || s.pin.barrier != b || s.pin.id != id {
		return never
	}
	b.wait = min(max(2*b.wait, 5*time.Millisecond), 200*time.Millisecond)
	if s.changes != changes { // an ack on its way, or a loss, would hide a message
		return b.wait
	}
	return s.lookBehind(b, i.NumAckPending-held)
}

// info asks for the consumer.
func (s *Stream) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	found := make(chan *jetstream.ConsumerInfo, 1) // the question may outlive this call
	err := s.b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		c, err := js.Consumer(ctx, s.stream, s.consumer)
		if err == nil {
			found <- c.CachedInfo()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-found, nil
}

func holder(i *jetstream.ConsumerInfo) string {
	for _, g := range i.PriorityGroups {
		if g.Group == pinGroup {
			return g.PinnedClientID
		}
	}
	return ""
}

// lookBehind lifts the barrier when nothing is missing. Should the consumer have been given out
// more than this stream may hold, it goes on when it is full. The lock is held.
func (s *Stream) lookBehind(b *barrier, missing int) time.Duration {
	events, _, _ := s.room()
	late := time.Since(b.since) > 2*s.ackWait
	b.missing = missing
	if missing > 0 && (!late || events > 0 && time.Since(b.since) < 4*s.ackWait) {
		signal(s.poke)
		return b.wait
	}
	if missing > 0 {
		s.b.o.Logger.Warn("a stream goes on, although older messages are missing",
			"topic", s.sub.Topic, "group", s.sub.Group, "missing", missing)
	}
	s.release()
	signal(s.poke)
	return 0
}

// unpin lets another stream become the active one, while this one still is: the request names no
// client.
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
