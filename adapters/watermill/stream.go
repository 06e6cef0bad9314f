package watermill

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// Stream is a subscription of Watermill as a stream of Leat. It implements [leat.Stream] and
// [leat.HealthReporter].
type Stream struct {
	b          *Broker
	sub        leat.Subscription
	subscriber message.Subscriber
	caps       leat.Capabilities
	ctx        context.Context    //nolint:containedctx // it ends with Close
	cancel     context.CancelFunc // called under mu
	room       chan struct{}      // holds a token when there may be room for another message
	closing    lifecycle.Closing
	failure    failure

	mu    sync.Mutex
	book  *book.Book[*message.Message]
	feed  *feed              // nil while there is no subscription
	acked []*message.Message // since they may not have reached the message broker
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
	s := &Stream{b: b, sub: sub, subscriber: subscriber, room: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.caps = leat.Capabilities{Standby: b.o.Standby, Durable: b.o.Durable, History: b.o.History, LongestHold: b.o.LongestHold}
	if !sub.Unordered {
		s.caps.Order = b.o.Order
	}
	s.book = book.New[*message.Message](&s.mu, book.Options{
		Topic: sub.Topic, MaxInFlight: sub.MaxInFlight, MaxInFlightBytes: sub.MaxInFlightBytes,
		Unordered: true, KeylessLeave: true, // the Pub/Sub takes back what is given back, and keeps the order or not
	})
	return s
}

// Capabilities returns what [Options] say, and nothing else: a Pub/Sub counts no deliveries, takes
// no delay and has no reject.
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// Health returns nil, or why the stream cannot subscribe.
func (s *Stream) Health() error { return s.failure.health("subscribing", s.sub.Topic) }

// open subscribes. Watermill's Subscribe may block, and its context is that of the subscription, so
// ctx is watched from outside.
func (s *Stream) open(ctx context.Context) (*feed, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &feed{cancel: cancel, lease: leat.NewLease()}
	var subscribing lifecycle.Tasks
	err := subscribing.Await(ctx, func() (err error) {
		if f.messages, err = s.subscriber.Subscribe(own, s.sub.Topic); err == nil && f.messages == nil {
			err = errors.New("the Subscriber returned no channel")
		}
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = s.ctx.Err()
	}
	if err != nil {
		cancel()
		go func() {
			subscribing.Wait()
			refuse(f.messages)
		}()
		return nil, failed(ctx, "subscribe", s.sub.Topic, err)
	}
	f.window = s.book.Open(f.lease)
	s.feed = f
	return f, nil
}

// refuse gives back what comes from a channel, where there is one, until it is closed. Some
// Subscribers cannot close while nobody reads.
func refuse(messages <-chan *message.Message) {
	if messages == nil {
		return
	}
	for m := range messages {
		if m != nil {
			m.Nack()
		}
	}
}

// Receive implements [leat.Stream].
func (s *Stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	n, err := s.book.Receive(ctx, into)
	lifecycle.Signal(s.room)
	return n, err
}

// keep takes what comes, until the stream is closed. A channel that the Subscriber closes is an
// outage: the lease is lost, and the stream subscribes again, at most once a second.
func (s *Stream) keep(f *feed) {
	for {
		s.read(f)
		if s.ctx.Err() != nil {
			return
		}
		s.lose(f)
		for f = nil; f == nil; {
			if !lifecycle.Sleep(s.ctx, resubscribe) {
				return
			}
			var err error
			f, err = s.open(s.ctx)
			s.failure.note(err)
		}
	}
}

// read takes messages, until the channel ends or the stream is closed. A full stream reads on, as
// only the channel tells that it has ended, and keeps one message more than there is room for.
func (s *Stream) read(f *feed) {
	for {
		messages := f.messages
		if !s.hasRoom(f) {
			messages = nil
		}
		select {
		case m, ok := <-messages:
			if !ok {
				return
			}
			if m != nil {
				s.take(f, m)
			}
		case <-s.room:
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Stream) hasRoom(f *feed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, bytes := s.book.Room()
	return events > 0 && bytes > 0 || f.window.Fresh() == 0
}

// take enters a message.
func (s *Stream) take(f *feed, m *message.Message) {
	d, size := s.decode(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		m.Nack()
		return
	}
	f.window.Push(&d, size, m)
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
	e, trace, err := o.Codec.read(s.sub.Topic, m, true)
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
	held := s.drop()
	s.mu.Unlock()
	f.cancel()
	s.failure.note(errEnded)
	s.b.o.Logger.Warn("a subscription of Watermill ended; it is opened again", "topic", s.sub.Topic, "group", s.sub.Group)
	f.lease.End(fault.Errorf("lease", s.sub.Topic, leat.CodeUnavailable, "%w", errEnded))
	for _, m := range held {
		m.Nack()
	}
}

var errEnded = errors.New("the Subscriber has closed its channel")

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

// Settle implements [leat.Stream]: Ack is the message's Ack, GiveBack its Nack, after which the
// Pub/Sub delivers it again when it likes. NativeReject has no effect.
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	m, effect := s.book.Settle(d, how)
	if effect == book.Acked {
		s.remember(m)
	}
	s.mu.Unlock()
	lifecycle.Signal(s.room)
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
	if !s.closing.Begin(ctx) {
		return nil
	}
	defer s.closing.End()
	s.mu.Lock()
	s.cancel()
	s.book.Shut(s.b.life.ErrClosed("receive", s.sub.Topic))
	f, acked := s.feed, s.acked
	held := s.drop()
	s.acked = nil
	s.mu.Unlock()
	s.b.life.Remove(s)
	flush(ctx, acked)
	if f == nil {
		return nil
	}
	f.lease.End(nil)
	f.cancel() // before anything is nacked, which would come to this channel again
	for _, m := range held {
		m.Nack()
	}
	if await(ctx, func() error { refuse(f.messages); return nil }) != nil {
		return fault.Errorf("close", s.sub.Topic, leat.CodeUnavailable, "the Subscriber did not close its channel in time")
	}
	return nil
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
