package nats

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stream consumes for a group, or for a broadcast. Every message of a group has a lease of its own,
// which lasts for the consumer's AckWait from the last confirmed extension.
type Stream struct {
	b                  *Broker
	sub                leat.Subscription
	caps               leat.Capabilities
	stream             string
	ordered            bool // one stream of the group is active
	ackWait, pinnedTTL time.Duration
	lookAfter          time.Duration                  // how often it asks for the consumer
	mostPending        int                            // what the server gives out to the group at a time
	keeper             *lease.Keeper[uint64, receipt] // by sequence; nil for a broadcast
	lease              *leat.Lease                    // of a broadcast
	answers            string                         // the inbox of answers to acks and the like
	subs               []*nats.Subscription           // to answers and advisories
	ctx                context.Context                //nolint:containedctx // it ends with the stream
	cancel             context.CancelFunc
	tasks              lifecycle.Tasks
	poke               chan struct{} // holds a token when run should look
	closing            lifecycle.Closing

	mu       sync.Mutex // also guards the book
	book     *book.Book[*message]
	window   *book.Window[*message]
	consumer string // of a broadcast it changes when a server has lost it
	next     uint64 // of a broadcast: the sequence that comes next
	changes  uint64 // counts settlements and losses
	quiet    bool   // nothing is asked for any more
	closed   bool
	lost     fault.Symptom // requests are not answered
	unheard  fault.Symptom // nor are acks
	outage   fault.Incident
	identity identity
	pulls    pulls
	pin      pin

	asking  sync.Mutex // guards what follows
	waiting map[uint64]chan error
	asked   uint64
}

// lent is a message of a group; its id is the sequence.
type lent = lease.Message[uint64, receipt]

// receipt is what a server is told about a message by.
type receipt struct {
	subject string
	life    int // of the identity
}

// message is what is kept of a message that is held.
type message struct {
	lent   *lent
	number uint64 // in the window; 0 while it waits behind the barrier
	seq    uint64
	size   int
}

// early is a message that waits behind the barrier.
type early struct {
	d  leat.Delivery
	of *message
}

var (
	_ leat.Stream         = (*Stream)(nil)
	_ leat.HealthReporter = (*Stream)(nil)
	_ leat.Quiescer       = (*Stream)(nil)
)

// Capabilities implements [leat.Stream].
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// Receive implements [leat.Stream].
func (s *Stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	return s.book.Receive(ctx, into)
}

// Settle implements [leat.Stream].
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, effect := s.book.Settle(d, how)
	if effect == book.None {
		return
	}
	s.changes++
	switch {
	case s.keeper == nil:
	case effect == book.Acked:
		s.keeper.Ack(of.lent)
	case effect == book.Returned:
		s.keeper.GiveBack(of.lent, how.Delay)
	}
	s.pokeIfRoom()
}

// Quiesce implements [leat.Quiescer].
func (s *Stream) Quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
	s.book.Quiesce()
}

// arrived takes a message. One goroutine of each session calls it.
func (s *Stream) arrived(m *nats.Msg, session int, c *decoder) {
	if m.Reply == "" { // of the server; a publisher may have a header Status as well
		s.status(m, session)
		return
	}
	from, ok := originOf(m.Reply)
	if !ok {
		return
	}
	d := leat.Delivery{Position: leat.Position{Offset: int64(from.seq)}}
	c.decode(m, from.at, &d)
	size := sizeOf(m, &d)
	if s.keeper == nil {
		s.broadcasted(m, &d, from.seq, size, session)
		return
	}
	d.Deliveries = from.deliveries
	by, asked, verdict := s.admit(m, &from, session)
	switch verdict {
	case refused:
		_ = m.Nak() // it is for whoever is active, or has room
		return
	case ignored:
		return
	}
	lent, fresh := s.keeper.Take(from.seq, asked, by)
	if !fresh {
		return // it is held, and has its new subject
	}
	d.Lease = lent.Lease()
	if !s.keep(&d, &message{lent: lent, seq: from.seq, size: size}, m.Header.Get(pinHeader)) {
		s.keeper.Lose(errUnpinned, lent)
	}
}

// keep lets a message of a group be delivered. It returns false when the pin that it came under has
// been lost since it was admitted, so that unpinned may have missed it.
func (s *Stream) keep(d *leat.Delivery, of *message, pin string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ordered && s.pin.id != pin {
		return false
	}
	of.lent.Of = of
	if s.ordered && s.pin.barrier == nil && s.keeper.Overdue() { // lostMessage is about to be called
		s.raise()
	}
	if s.pin.barrier != nil {
		s.holdBack(early{*d, of})
	} else {
		of.number = s.window.Push(d, of.size, of)
	}
	s.pokeIfRoom()
	return true
}

// verdict is what becomes of a message.
type verdict uint8

const (
	admitted verdict = iota
	refused          // another stream may have it at once
	ignored          // nothing can be told about it; it comes again by itself
)

// admit decides what becomes of a message, and when its lease began at the latest.
func (s *Stream) admit(m *nats.Msg, from *origin, session int) (by receipt, asked time.Time, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session < s.identity.session {
		return by, asked, ignored
	}
	by, asked = receipt{m.Reply, s.identity.life}, s.pulls.took(m, session)
	now := session == s.pulls.session
	if now {
		s.expect(from)
	}
	switch {
	case s.ordered && !s.pinnedBy(m.Header[pinHeader], session):
		return by, asked, refused
	case now && s.ordered:
		s.follow(from)
	case !now:
		if room, _ := s.book.Room(); room <= len(s.pin.early) {
			return by, asked, refused
		}
	}
	if s.closed && s.pulls.drained {
		return by, asked, refused
	}
	return by, asked, admitted
}

// origin is what the subject of a message's acks says of it.
type origin struct {
	seq        uint64    // in the stream
	delivery   uint64    // counts the deliveries of the consumer, of this message or another
	deliveries int       // of this message
	at         time.Time // when it was published
}

// originOf reads such a subject: $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer
// seq>.<time>.<pending>, and with a domain and a hash before the stream, and a token at the end, of
// servers that say these.
func originOf(reply string) (o origin, ok bool) {
	const deliveries, seq, delivery, at = 2, 3, 4, 5 // in tokens, from the stream
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	first := 0
	if dots := strings.Count(rest, "."); dots >= 8 {
		first = 2
	} else if dots != 6 {
		return o, false
	}
	for i := 0; ok && rest != ""; i++ {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		var n uint64
		var err error
		switch i - first {
		case deliveries:
			n, err = strconv.ParseUint(token, 10, 31)
			o.deliveries = int(n)
		case seq:
			o.seq, err = strconv.ParseUint(token, 10, 63)
		case delivery:
			o.delivery, err = strconv.ParseUint(token, 10, 63)
		case at:
			n, err = strconv.ParseUint(token, 10, 63)
			o.at = time.Unix(0, int64(n))
		}
		ok = ok && err == nil
	}
	return o, ok
}

// broadcasted takes a message of a broadcast.
func (s *Stream) broadcasted(m *nats.Msg, d *leat.Delivery, seq uint64, size, session int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls.took(m, session)
	if seq < s.next {
		return
	}
	s.next = seq + 1
	s.window.Push(d, size, nil)
	s.pokeIfRoom()
}

// lostMessage is called when the lease of a message has ended, so that the server may give it to
// others. What is later of its key would overtake it, and what comes from now on waits until
// nothing is missing.
func (s *Stream) lostMessage(m *lent, _ error) (others []*lent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := m.Of.(*message)
	if !ok {
		return nil
	}
	s.changes++
	if of.number == 0 {
		s.pin.early = slices.DeleteFunc(s.pin.early, func(e early) bool { return e.of == of })
	} else {
		for _, other := range s.window.Lose(of.number) {
			others = append(others, other.lent)
		}
	}
	if !s.closed {
		s.raise()
	}
	lifecycle.Signal(s.poke)
	return others
}

// held returns what counts against the limits.
func (s *Stream) held() (events, bytes int) {
	events, bytes = s.book.Held()
	for _, e := range s.pin.early {
		bytes += e.of.size
	}
	return events + len(s.pin.early), bytes
}

// Health implements [leat.HealthReporter].
func (s *Stream) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.b.life.ErrClosed("health", s.sub.Topic)
	}
	errs := []error{s.b.link.health(s.sub.Topic)}
	for _, what := range []*fault.Symptom{&s.lost, &s.unheard} {
		if what.Err != nil && errs[0] == nil {
			errs = append(errs, fault.Health(s.sub.Topic, codeOf(what.Err), what.Since, what.Err))
		}
	}
	if s.behind() {
		errs = append(errs, fault.Health(s.sub.Topic, leat.CodeUnavailable, s.pin.barrier.since, errBehind))
	}
	return fault.Join(errs...)
}

// behind reports whether the stream waits for longer than usual for older messages. The lock is
// held.
func (s *Stream) behind() bool {
	return s.pin.barrier != nil && time.Since(s.pin.barrier.since) > s.ackWait/2
}

var errBehind = &leat.Error{
	Code: leat.CodeUnavailable, Err: errors.New("nothing is delivered until older messages have come again"),
}

// tell logs what is wrong with the stream while there is a connection. What is over by itself in a
// moment, as when a server has been restarted, has no line.
func (s *Stream) tell() {
	if !s.b.link.alive() {
		return
	}
	s.mu.Lock()
	lost, unheard, behind, closed := s.lost, s.unheard, s.behind(), s.closed
	s.mu.Unlock()
	switch {
	case closed:
	case lost.Err != nil && time.Since(lost.Since) > lostAfter:
		s.outage.Wrong("cannot consume", codeOf(lost.Err).String(), lost.Err, s.about()...)
	case unheard.Err != nil && time.Since(unheard.Since) > lostAfter:
		s.outage.Wrong("the server does not confirm acks", "acks", unheard.Err, s.about()...)
	case behind:
		s.outage.Wrong("cannot consume", "behind", errBehind, s.about()...)
	case lost.Err == nil && unheard.Err == nil:
		s.outage.Well("consuming again", s.about()...)
	}
}

// about returns the attributes of a line about the stream.
func (s *Stream) about() []slog.Attr {
	about := []slog.Attr{slog.String("topic", s.sub.Topic)}
	if s.sub.Group != "" {
		about = append(about, slog.String("group", s.sub.Group))
	}
	return about
}

// Close implements [leat.Stream].
func (s *Stream) Close(ctx context.Context) error {
	if !s.closing.Begin(ctx) {
		return nil
	}
	defer s.closing.End()
	s.mu.Lock()
	s.closed = true
	s.book.Shut(s.b.life.ErrClosed("receive", s.sub.Topic))
	s.mu.Unlock()
	s.stopPulling(ctx)
	var err error
	if s.keeper != nil {
		err = s.keeper.Close(ctx)
	}
	s.mu.Lock()
	s.window.End()
	pin, consumer := s.pin.id, s.consumer
	s.mu.Unlock()
	if s.keeper == nil {
		s.lease.End(nil)
		_ = s.b.do(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			return js.DeleteConsumer(ctx, s.stream, consumer)
		})
	} else if pin != "" {
		s.unpin(ctx, pin)
	}
	s.cancel()
	s.tasks.Wait()
	s.b.mu.Lock()
	delete(s.b.streams, s)
	s.b.mu.Unlock()
	s.unlisten()
	s.b.life.Remove(s)
	if err != nil {
		return fail(ctx, "close", s.sub.Topic, errors.Join(errUnsaid, err))
	}
	return nil
}

var errUnsaid = errors.New("what was finished last may not be acknowledged, and be handled again")
