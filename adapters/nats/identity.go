package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go/jetstream"
)

// identity is which consumer of its name a stream consumes from, or which stream of its name a
// broadcast does. Stream.mu guards it.
//
// When a stream is created again, its sequences begin with 1, and an ack names no more than the
// consumer and the sequence. So the ack of an old message would end a new one. A group knows its
// consumer by the time of its creation. It doubts it after each lost connection, and when an answer
// or an advisory says that it may be another one. Until the server has answered,
// the stream asks for nothing and tells nothing about messages.
type identity struct {
	made    time.Time     // when the server created it
	life    int           // counts the consumers of this name
	session int           // of the pulls: the first one of this life
	newest  uint64        // the last sequence that was delivered for the first time
	doubted chan struct{} // closed when the doubt is over; nil for none
	doubts  int           // counts the reasons
	looked  time.Time     // when it was asked for last
	soon    bool          // there is another reason to ask
}

var errRecreated = &leat.Error{
	Code: leat.CodeLeaseLost, Err: errors.New("the consumer was deleted and created again"),
}

// doubt makes run ask for the consumer. The lock is held.
func (s *Stream) doubt() {
	if s.keeper == nil { // its consumer has a name that nobody uses again
		return
	}
	i := &s.identity
	i.doubts++
	if i.doubted == nil {
		i.doubted = make(chan struct{})
	}
	lifecycle.Signal(s.poke)
}

// lookSoon makes run ask for the consumer, which may have another active stream. The lock is held.
func (s *Stream) lookSoon() {
	s.identity.soon = true
	lifecycle.Signal(s.poke)
}

// doubtIt is doubt without the lock.
func (s *Stream) doubtIt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubt()
}

// expect looks at the consumer soon when a message is said to be delivered for the first time, and
// is older than those before it: it may be one of another stream with the same name. The other
// reason is frequent, so nothing waits for the answer: the inbox of its request was gone when the
// server had it ready. The lock is held.
func (s *Stream) expect(from *origin) {
	if from.deliveries == 1 && from.seq <= s.identity.newest {
		s.identity.newest = 0
		s.lookSoon()
	}
	s.identity.newest = max(s.identity.newest, from.seq)
}

// certain waits until there is no doubt, and returns an error where messages are of another life.
func (s *Stream) certain(ctx context.Context, batch []entry) error {
	for {
		s.mu.Lock()
		doubted, life := s.identity.doubted, s.identity.life
		s.mu.Unlock()
		if doubted == nil {
			if slices.ContainsFunc(batch, func(e entry) bool { return e.Value.life != life }) {
				return lease.ErrTaken
			}
			return nil
		}
		select {
		case <-doubted:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look asks for the consumer when that is due: whether it is the same one, whether the stream is
// still its active one, since it may not be told, and whether the barrier can be lifted. It returns
// when to look again.
func (s *Stream) look() time.Duration {
	s.mu.Lock()
	n, now, id, b := &s.identity, time.Now(), s.pin.id, s.pin.barrier
	active := !s.closed && (id != "" || !s.ordered)
	due := n.doubted != nil || active && (n.soon || now.Sub(n.looked) > s.lookAfter)
	doubts, changes, held, wait := n.doubts, s.changes, 0, never
	if active && b != nil {
		wait = max(b.next.Sub(now), 0)
		due = due || wait == 0
	}
	if due {
		n.looked, n.soon = now, false
		held = s.known()
	}
	s.mu.Unlock()
	switch {
	case !s.b.link.alive():
		return never
	case !due:
		return wait
	}
	ctx, cancel := context.WithTimeout(s.ctx, 2*s.lookAfter)
	defer cancel()
	i, err := s.info(ctx)
	if err = s.identify(i, doubts, err); err != nil {
		return lookEvery
	}
	switch {
	case id == "" || !active:
		return never
	case holder(i) != id:
		s.unpinned()
		return 0
	}
	return s.lookBehind(b, i.NumAckPending-held, changes)
}

// identify takes the answer of a server, or why there is none, and ends the doubts that there were
// when it was asked.
func (s *Stream) identify(i *jetstream.ConsumerInfo, doubts int, err error) error {
	s.mu.Lock()
	n := &s.identity
	another := err == nil && !i.Created.Equal(n.made)
	if another {
		if err = s.fits(i); err != nil {
			s.doubt() // until there is one that fits
		}
	}
	if err != nil {
		if n.doubted != nil { // otherwise health has it from the requests
			s.lost.Set(err)
		}
		s.mu.Unlock()
		return err
	}
	if another {
		s.begin(i)
	}
	s.mu.Unlock()
	if another {
		s.b.o.Logger.Warn("a consumer was deleted and created again",
			"topic", s.sub.Topic, "group", s.sub.Group)
		s.keeper.LoseAll(errRecreated)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.doubted != nil && n.doubts == doubts {
		close(n.doubted)
		n.doubted = nil
		s.lost.Set(nil)
		lifecycle.Signal(s.poke)
	}
	return nil
}

// fits returns why the stream cannot continue with another consumer, or nil.
func (s *Stream) fits(i *jetstream.ConsumerInfo) error {
	c := &i.Config
	if err := checkConsumer(s.sub, i, ""); err != nil {
		return err
	}
	if pinned(c) != s.ordered || c.AckWait < s.ackWait || s.ordered && c.PinnedTTL < s.pinnedTTL {
		return &leat.Error{Code: leat.CodeUnsupported, Err: fmt.Errorf("the consumer %q was created "+
			"again with another policy, or a shorter ack_wait or TTL; restart this process", i.Name)}
	}
	return nil
}

// begin begins the life of another consumer. The lock is held.
func (s *Stream) begin(i *jetstream.ConsumerInfo) {
	n := &s.identity
	n.made, n.newest, s.mostPending = i.Created, 0, i.Config.MaxAckPending
	n.life++
	s.pin.id, s.pin.barrier = "", nil
	s.changes++
	if s.closed {
		s.pulls.session++
	} else {
		s.renew()
	}
	n.session = s.pulls.session
}

// info asks for the consumer.
func (s *Stream) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	c, err := ask(ctx, s.b, func(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
		return js.Consumer(ctx, s.stream, s.consumer)
	})
	if err != nil {
		return nil, fmt.Errorf("the consumer %q: %w", s.consumer, err)
	}
	return c.CachedInfo(), nil
}
