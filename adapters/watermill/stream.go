package watermill

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
)

// Stream is a subscription of Watermill as a stream of Leat. It implements [leat.Stream] and
// [leat.HealthReporter].
type Stream struct {
	b          *Broker
	sub        leat.Subscription
	subscriber message.Subscriber
	caps       leat.Capabilities
	room       chan struct{} // holds a token when Receive should look again
	over       chan struct{} // closed by Close
	retry      time.Time     // not before then it subscribes again; Receive's own
	failure    failure

	mu     sync.Mutex
	closed bool
	book   *book.Book[*message.Message]
	feed   *feed              // nil while there is no subscription
	acked  []*message.Message // since they may not have reached the message broker
}

// feed is what one Subscribe of Watermill returned. Its lease is as long as its channel.
type feed struct {
	messages <-chan *message.Message
	cancel   context.CancelFunc
	lease    *leat.Lease
	window   *book.Window[*message.Message]
}

var (
	_ leat.Stream         = (*Stream)(nil)
	_ leat.Quiescer       = (*Stream)(nil)
	_ leat.HealthReporter = (*Stream)(nil)
)

const (
	// resubscribe is how long a stream whose channel was closed waits before it subscribes again.
	resubscribe = time.Second
	// settleTimeout is how long Close waits until the Pub/Sub has taken note of the last acks,
	// which Watermill shows by ending the contexts of their messages.
	settleTimeout = time.Second
	// mostAcked is how many acks are remembered for that.
	mostAcked = 1_000
)

func newStream(b *Broker, sub leat.Subscription, subscriber message.Subscriber) *Stream {
	s := &Stream{b: b, sub: sub, subscriber: subscriber, room: make(chan struct{}, 1), over: make(chan struct{})}
	s.caps = leat.Capabilities{Standby: b.o.Standby, Durable: b.o.Durable, History: b.o.History, LongestHold: b.o.LongestHold}
	if !sub.Unordered {
		s.caps.Order = b.o.Order
	}
	s.book = book.New[*message.Message](&s.mu, book.Options{
		Topic: sub.Topic, MaxInFlight: sub.MaxInFlight, MaxInFlightBytes: sub.MaxInFlightBytes,
		Unordered: true, KeylessLeave: true, // the Pub/Sub takes back what is given back, and keeps the order or not
		Wake: s.wake,
	})
	return s
}

// wake makes Receive look again.
func (s *Stream) wake() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// Capabilities returns what [Options] say, and nothing else: a Pub/Sub counts no deliveries, takes
// no delay and has no reject.
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// Health returns nil, or why the stream cannot subscribe.
func (s *Stream) Health() error { return s.failure.health("subscribing", s.sub.Topic) }

// open subscribes. Watermill's Subscribe may block, and its context is that of the subscription, so
// ctx is watched from outside.
func (s *Stream) open(ctx context.Context) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &feed{cancel: cancel, lease: leat.NewLease()}
	answered := make(chan error, 1)
	go func() {
		var err error
		if f.messages, err = s.subscriber.Subscribe(own, s.sub.Topic); err == nil && f.messages == nil {
			err = errors.New("the Subscriber returned no channel")
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil {
			cancel()
			return failed(ctx, "subscribe", s.sub.Topic, err)
		}
	case <-ctx.Done():
		cancel()
		go func() {
			if <-answered == nil {
				refuse(f.messages)
			}
		}()
		return canceled(ctx, "subscribe", s.sub.Topic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		go refuse(f.messages)
		return s.closedError("subscribe")
	}
	f.window = s.book.Open(f.lease)
	s.feed = f
	return nil
}

// refuse gives back what comes from a channel until it is closed. Some Subscribers cannot close
// while nobody reads.
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

// Receive implements [leat.Stream]. A channel that the Subscriber closes is an outage: the lease is
// lost, and the stream subscribes again, at most once a second. A full stream reads on, as only the
// channel tells that it has ended, and keeps one message more than there is room for.
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
		if ctx.Err() != nil {
			s.mu.Unlock()
			return 0, canceled(ctx, "receive", s.sub.Topic)
		}
		f, n := s.feed, s.book.Fill(into)
		var messages <-chan *message.Message
		if f != nil && !s.book.Short() {
			messages = f.messages
		}
		s.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if f == nil {
			s.reopen(ctx)
			continue
		}
		select {
		case m, ok := <-messages:
			s.read(f, m, ok, len(into))
		case <-s.room:
		case <-ctx.Done():
		case <-s.over:
		}
	}
}

// read takes a message, and what else the channel has at once and there is room for, most of them
// at the most.
func (s *Stream) read(f *feed, m *message.Message, ok bool, most int) {
	for ok && s.take(f, m) && most > 1 {
		most--
		select {
		case m, ok = <-f.messages:
		default:
			return
		}
	}
	if !ok {
		s.lose(f)
	}
}

// take enters a message. It reports whether there is room for more.
func (s *Stream) take(f *feed, m *message.Message) bool {
	if m == nil {
		return true
	}
	d, size := s.decode(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		m.Nack()
		return false
	}
	f.window.Push(&d, size, m)
	events, bytes := s.book.Room()
	return events > 0 && bytes > 0
}

// decode returns a delivery of the event of a message, or of why it is none, and its size.
func (s *Stream) decode(m *message.Message) (d leat.Delivery, size int) {
	o := &s.b.o
	if d.Position.ID = m.UUID; o.Position != nil {
		d.Position = o.Position(m)
	}
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
		return d, d.Malformed.Size()
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = key
	}
	return d, e.Size()
}

// lose is called when the channel was closed by the Subscriber: what was delivered from it belongs
// to the group again.
func (s *Stream) lose(f *feed) {
	s.mu.Lock()
	closed, held := s.closed, s.drop()
	s.mu.Unlock()
	if closed {
		return
	}
	s.retry = time.Now().Add(resubscribe)
	f.cancel()
	err := errors.New("the Subscriber has closed its channel")
	s.failure.note(err)
	s.b.o.Logger.Warn("a subscription of Watermill ended; it is opened again", "topic", s.sub.Topic, "group", s.sub.Group)
	f.lease.End(&leat.Error{Op: "lease", Topic: s.sub.Topic, Code: leat.CodeUnavailable, Err: err})
	for _, m := range held {
		m.Nack()
	}
}

// drop forgets the feed and what came by it, and returns what of that is not settled, in order. The
// caller holds the lock.
func (s *Stream) drop() (held []*message.Message) {
	if s.feed == nil {
		return nil
	}
	for m := range s.feed.window.Unsettled() {
		held = append(held, m)
	}
	s.feed.window.End()
	s.feed = nil
	return held
}

// reopen subscribes again when its time has come.
func (s *Stream) reopen(ctx context.Context) {
	timer := time.NewTimer(time.Until(s.retry))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.over:
		return
	case <-ctx.Done():
		return
	}
	err := s.open(ctx)
	if ctx.Err() != nil || leat.CodeOf(err) == leat.CodeClosed {
		return
	}
	s.failure.note(err)
	if err != nil {
		s.retry = time.Now().Add(resubscribe)
	}
}

// Settle implements [leat.Stream]: Ack is the message's Ack, GiveBack its Nack, after which the
// Pub/Sub delivers it again when it likes. NativeReject has no effect.
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	m, effect := s.book.Settle(d, how)
	if effect == book.Acked {
		s.remember(m)
	}
	s.mu.Unlock()
	switch effect {
	case book.Acked:
		m.Ack()
	case book.Returned:
		m.Nack()
	}
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

// Quiesce implements [leat.Quiescer]. A Pub/Sub delivers what is nacked to the same channel again,
// where nobody reads it any more and Close would nack it a second time. So what is given back from
// now on is nacked when the subscription ends, in order. The subscription itself goes on until
// then: most Subscribers take no ack any more when its context has ended.
func (s *Stream) Quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book.Quiesce()
}

// Close implements [leat.Stream]: it waits until the Pub/Sub has taken note of the acks, as far as
// it shows that, for a second at most; it nacks what is not settled, and ends the subscription.
func (s *Stream) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.over)
	f, acked := s.feed, s.acked
	held := s.drop()
	s.acked = nil
	s.mu.Unlock()
	flush(ctx, acked)
	ended := make(chan struct{})
	if f == nil {
		close(ended)
	} else {
		f.lease.End(nil)
		f.cancel() // before anything is nacked, which would come to this channel again
		for _, m := range held {
			m.Nack()
		}
		go func() {
			refuse(f.messages)
			close(ended)
		}()
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

// flush waits until the contexts of messages have ended, which says that the Subscriber has seen
// their acks.
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
