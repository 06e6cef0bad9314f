package watermill

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
)

// Stream is a subscription of Watermill as a stream of Leat. It implements [leat.Stream] and [leat.HealthReporter].
type Stream struct {
	b          *Broker
	sub        leat.Subscription
	subscriber message.Subscriber
	caps       leat.Capabilities
	room       chan struct{} // holds a token when something was settled
	over       chan struct{} // closed by Close
	failure    failure

	mu       sync.Mutex
	closed   bool
	quiet    bool // Receive is not called any more
	messages <-chan *message.Message
	cancel   context.CancelFunc
	lease    *leat.Lease
	bytes    int
	held     map[uint64]*entry // what is not settled, and what was given back to a quiet stream
	tag      uint64
	acked    []*message.Message // since they may not have reached the message broker
	retry    time.Time          // not before then it subscribes again
	pending  *message.Message   // was read, and is not delivered
	decoded  leat.Delivery      // of pending
}

// entry is a delivery that is not settled.
type entry struct {
	m    *message.Message
	size int
	back bool // it is settled: given back to a quiet stream, which nacks it when it closes
}

var (
	_ leat.Stream         = (*Stream)(nil)
	_ leat.Quiescer       = (*Stream)(nil)
	_ leat.HealthReporter = (*Stream)(nil)
)

const (
	// resubscribe is how long a stream whose channel was closed waits before it subscribes again.
	resubscribe = time.Second
	// settleTimeout is how long Close waits until the Pub/Sub has taken note of the last acks, which Watermill shows by ending the contexts of
	// their messages.
	settleTimeout = time.Second
	// mostAcked is how many acks are remembered for that.
	mostAcked = 1_000
)

func newStream(b *Broker, sub leat.Subscription, subscriber message.Subscriber) *Stream {
	s := &Stream{b: b, sub: sub, subscriber: subscriber, room: make(chan struct{}, 1), over: make(chan struct{}), held: map[uint64]*entry{}}
	s.caps = leat.Capabilities{Standby: b.o.Standby, Durable: b.o.Durable, History: b.o.History, LongestHold: b.o.LongestHold}
	if !sub.Unordered {
		s.caps.Order = b.o.Order
	}
	return s
}

// Capabilities returns what [Options] say, and nothing else: a Pub/Sub counts no deliveries, takes no delay and has no reject.
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// Health returns nil, or why the stream cannot subscribe.
func (s *Stream) Health() error { return s.failure.health("subscribing", s.sub.Topic) }

// open subscribes. Watermill's Subscribe may block, and its context is that of the subscription, so ctx is watched from outside.
func (s *Stream) open(ctx context.Context) error {
	type answer struct {
		messages <-chan *message.Message
		err      error
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	answered := make(chan answer, 1)
	go func() {
		messages, err := s.subscriber.Subscribe(own, s.sub.Topic)
		answered <- answer{messages, err}
	}()
	var a answer
	select {
	case a = <-answered:
		if a.err == nil && a.messages == nil {
			a.err = errors.New("the Subscriber returned no channel")
		}
		if a.err != nil {
			cancel()
			return failed("subscribe", s.sub.Topic, a.err)
		}
	case <-ctx.Done():
		cancel()
		go func() {
			if late := <-answered; late.err == nil && late.messages != nil {
				refuse(late.messages)
			}
		}()
		return canceled(ctx, "subscribe", s.sub.Topic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		go refuse(a.messages)
		return s.closedError("subscribe")
	}
	s.messages, s.cancel, s.lease = a.messages, cancel, leat.NewLease()
	return nil
}

// refuse gives back what comes from a channel until it is closed. Some Subscribers cannot close while nobody reads.
func refuse(messages <-chan *message.Message) {
	for m := range messages {
		if m != nil {
			m.Nack()
		}
	}
}

func (s *Stream) closedError(op string) error {
	return &leat.Error{Op: op, Topic: s.sub.Topic, Code: leat.CodeClosed, Err: errors.New("the stream is closed")}
}

// Receive implements [leat.Stream]. A channel that the Subscriber closes is an outage: the lease is lost, and the stream subscribes
// again, at most once a second.
func (s *Stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	if len(into) == 0 {
		return 0, &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: leat.CodeInvalid, Err: errors.New("no room to receive into")}
	}
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return 0, s.closedError("receive")
		}
		messages, pending := s.messages, s.pending != nil
		full := len(s.held) >= s.sub.MaxInFlight || pending && !s.fits()
		s.mu.Unlock()
		if ctx.Err() != nil {
			return 0, canceled(ctx, "receive", s.sub.Topic)
		}
		switch {
		case full && pending:
			s.await(ctx, nil)
		case full: // and the channel tells when it ends; what it has meanwhile is the pending one, one more than MaxInFlight
			s.await(ctx, messages)
		case messages == nil:
			if err := s.reopen(ctx); err != nil {
				return 0, err
			}
		default:
			if !pending && !s.read(ctx, messages) {
				continue
			}
			if n := s.fill(into, messages); n > 0 {
				return n, nil
			}
		}
	}
}

// await waits for room, or until the channel has a message, which becomes the pending one, or has ended.
func (s *Stream) await(ctx context.Context, messages <-chan *message.Message) {
	select {
	case <-s.room:
	case m, ok := <-messages:
		if !ok {
			s.lose()
			return
		}
		s.take(m)
	case <-ctx.Done():
	case <-s.over:
	}
}

// read waits for a message and makes it the pending one. It reports whether there is one.
func (s *Stream) read(ctx context.Context, messages <-chan *message.Message) bool {
	select {
	case m, ok := <-messages:
		if !ok {
			s.lose()
			return false
		}
		return s.take(m)
	case <-ctx.Done():
	case <-s.over:
	}
	return false
}

// take decodes a message that was read, as the pending one. It reports whether there is one.
func (s *Stream) take(m *message.Message) bool {
	if m == nil {
		return false
	}
	d := s.decode(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		m.Nack()
		return false
	}
	s.pending, s.decoded = m, d
	return true
}

// decode returns a delivery of the event of a message, or of why it is none.
func (s *Stream) decode(m *message.Message) (d leat.Delivery) {
	o := &s.b.o
	key := ""
	if o.Key != nil {
		key = o.Key(m)
	}
	e, trace, err := o.Codec.received(s.sub.Topic, m)
	d.Trace = trace
	if err != nil && o.Mapping != nil {
		e, err = o.Mapping.Event(foreignMessage(s.sub.Topic, key, m, err))
	}
	if err != nil {
		d.Malformed = o.Codec.malformed(m, err)
		return d
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = key
	}
	return d
}

// fill delivers the pending message, and what the channel has at once.
func (s *Stream) fill(into []leat.Delivery, messages <-chan *message.Message) (n int) {
	for {
		if !s.deliver(&into[n]) {
			return n
		}
		n++
		if n == len(into) {
			return n
		}
		select {
		case m, ok := <-messages:
			if !ok {
				return n // the next Receive finds out
			}
			if !s.take(m) {
				return n
			}
		default:
			return n
		}
	}
}

// fits reports whether there is room for the pending message. The caller holds the lock.
func (s *Stream) fits() bool {
	return len(s.held) == 0 || len(s.held) < s.sub.MaxInFlight && s.bytes+s.pendingSize() <= s.sub.MaxInFlightBytes
}

func (s *Stream) pendingSize() int {
	if s.decoded.Malformed != nil {
		return s.decoded.Malformed.Size()
	}
	return s.decoded.Event.Size()
}

// deliver fills in d with the pending message if there is room for it.
func (s *Stream) deliver(d *leat.Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.pending == nil || !s.fits() {
		return false
	}
	s.tag++
	en := &entry{m: s.pending, size: s.pendingSize()}
	s.held[s.tag] = en
	s.bytes += en.size
	*d = s.decoded
	d.Lease, d.Handle, d.Tag, d.Position = s.lease, en, s.tag, leat.Position{ID: s.pending.UUID}
	if s.b.o.Position != nil {
		d.Position = s.b.o.Position(s.pending)
	}
	s.pending, s.decoded = nil, leat.Delivery{}
	return true
}

// lose is called when the channel was closed by the Subscriber: what was delivered from it belongs to the group again.
func (s *Stream) lose() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	lease, cancel := s.lease, s.cancel
	s.messages, s.lease, s.retry = nil, nil, time.Now().Add(resubscribe)
	held := s.drop()
	s.mu.Unlock()
	cancel()
	err := errors.New("the Subscriber has closed its channel")
	s.failure.note(err)
	s.b.o.Logger.Warn("a subscription of Watermill ended; it is opened again", "topic", s.sub.Topic, "group", s.sub.Group)
	lease.End(&leat.Error{Op: "lease", Topic: s.sub.Topic, Code: leat.CodeUnavailable, Err: err})
	for _, en := range held {
		en.m.Nack()
	}
	s.signal()
}

// drop forgets what is held and what is pending, and returns it in the order of delivery. The caller holds the lock.
func (s *Stream) drop() []*entry {
	all := make([]*entry, 0, len(s.held)+1)
	for _, tag := range slices.Sorted(maps.Keys(s.held)) {
		all = append(all, s.held[tag])
	}
	if s.pending != nil {
		all = append(all, &entry{m: s.pending})
	}
	clear(s.held)
	s.bytes, s.pending, s.decoded = 0, nil, leat.Delivery{}
	return all
}

// reopen subscribes again when its time has come.
func (s *Stream) reopen(ctx context.Context) error {
	s.mu.Lock()
	wait := time.Until(s.retry)
	s.mu.Unlock()
	timer := time.NewTimer(max(0, wait))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.over:
		return nil
	case <-ctx.Done():
		return canceled(ctx, "receive", s.sub.Topic)
	}
	err := s.open(ctx)
	if ctx.Err() != nil {
		return canceled(ctx, "receive", s.sub.Topic)
	}
	if leat.CodeOf(err) != leat.CodeClosed {
		s.failure.note(err)
	}
	if err != nil {
		s.mu.Lock()
		s.retry = time.Now().Add(resubscribe)
		s.mu.Unlock()
	}
	return nil
}

func (s *Stream) signal() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// Settle implements [leat.Stream]: Ack is the message's Ack, GiveBack its Nack, after which the Pub/Sub delivers it again when it likes.
// NativeReject has no effect.
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	en, ok := d.Handle.(*entry)
	if !ok || how.Action != leat.Ack && how.Action != leat.GiveBack {
		return
	}
	s.mu.Lock()
	if s.lease != d.Lease || s.held[d.Tag] != en || en.back {
		s.mu.Unlock()
		return // its lease has ended
	}
	if s.quiet && how.Action == leat.GiveBack {
		en.back = true
		s.mu.Unlock()
		return
	}
	delete(s.held, d.Tag)
	s.bytes -= en.size
	if how.Action == leat.Ack {
		s.remember(en.m)
	}
	s.mu.Unlock()
	if how.Action == leat.Ack {
		en.m.Ack()
	} else {
		en.m.Nack()
	}
	s.signal()
}

// remember keeps a message until its context has ended. The caller holds the lock.
func (s *Stream) remember(m *message.Message) {
	first := 0
	for first < len(s.acked) && (s.acked[first].Context().Err() != nil || len(s.acked)-first >= mostAcked) {
		s.acked[first] = nil
		first++
	}
	s.acked = s.acked[first:]
	if m.Context().Done() != nil {
		s.acked = append(s.acked, m)
	}
}

// Quiesce implements [leat.Quiescer]. A Pub/Sub delivers what is nacked to the same channel again, where nobody reads it any more and Close
// would nack it a second time. So what is given back from now on is nacked when the subscription ends, in order. The subscription itself
// goes on until then: most Subscribers take no ack any more when its context has ended.
func (s *Stream) Quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
}

// Close implements [leat.Stream]: it waits until the Pub/Sub has taken note of the acks, as far as it shows that, for a second at most;
// it nacks what is not settled, and ends the subscription.
func (s *Stream) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.over)
	lease, acked, held, messages, cancel := s.lease, s.acked, s.drop(), s.messages, s.cancel
	s.lease, s.acked = nil, nil
	s.mu.Unlock()
	flush(ctx, acked)
	if lease != nil {
		lease.End(nil)
	}
	if messages != nil {
		cancel() // before anything is nacked, which would come to this channel again
	}
	for _, en := range held {
		en.m.Nack()
	}
	ended := make(chan struct{})
	if messages != nil {
		go func() {
			refuse(messages)
			close(ended)
		}()
	} else {
		close(ended)
	}
	s.b.life.Remove(s)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return &leat.Error{Op: "close", Topic: s.sub.Topic, Code: leat.CodeUnavailable,
			Err: errors.New("the Subscriber did not close its channel in time")}
	}
}

// flush waits until the contexts of messages have ended, which says that the Subscriber has seen their acks.
func flush(ctx context.Context, acked []*message.Message) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, m := range acked {
		select {
		case <-m.Context().Done():
		case <-ctx.Done():
			return
		}
	}
}
