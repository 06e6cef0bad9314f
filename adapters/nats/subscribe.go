package nats

import (
	"context"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	longestDelay = 24 * time.Hour
	mostAcks     = 256              // in a batch
	broadcastTTL = 5 * time.Minute  // for which a server keeps the consumer of a broadcast
	longestPull  = 15 * time.Second // for which a request waits in a server
)

// Subscribe implements [leat.Broker]. The stream is a [*Stream]. It creates what Declare does.
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := ask(ctx, b, func(ctx context.Context, js jetstream.JetStream) (*Stream, error) {
		stream, consumer, err := b.provision(ctx, js, sub)
		if err != nil {
			return nil, err
		}
		s := b.newStream(sub.WithDefaults(), stream, consumer)
		if sub.Broadcast {
			err = s.createBroadcast(ctx, js)
		}
		return s, err
	})
	if err == nil {
		err = s.open(ctx)
	}
	if err != nil {
		return nil, fail(ctx, "subscribe", sub.Topic, err)
	}
	if err := b.life.Add(sub.Topic, s); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// newStream makes a stream that does not ask for messages yet.
func (b *Broker) newStream(
	sub leat.Subscription, stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo,
) *Stream {
	s := &Stream{
		b: b, sub: sub, stream: stream.Config.Name,
		poke:    make(chan struct{}, 1),
		answers: b.o.inbox(), waiting: map[uint64]chan error{},
	}
	s.outage.Logger = b.o.Logger
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.pulls.expires, s.pulls.floor = longestPull, time.Now()
	o := book.Options{
		Topic: sub.Topic, MaxInFlight: sub.MaxInFlight, MaxInFlightBytes: sub.MaxInFlightBytes,
		LongestDelay: longestDelay,
	}
	s.caps = leat.Capabilities{
		Durable: stream.Config.Storage == jetstream.FileStorage, Broadcast: sub.Broadcast,
		LongestDelay: longestDelay, Order: leat.OrderPerStream,
	}
	if sub.Broadcast {
		s.book, s.lease = book.New[*message](&s.mu, o), leat.NewLease()
		s.identity.made, s.next = stream.Created, stream.State.LastSeq+1
		s.window = s.book.Open(s.lease)
		return s
	}
	c := &consumer.Config
	s.identity.made = consumer.Created
	s.consumer, s.ordered, s.ackWait, s.pinnedTTL = consumer.Name, pinned(c), c.AckWait, c.PinnedTTL
	s.pulls.expires, s.mostPending = min(longestPull, c.AckWait/4), c.MaxAckPending
	s.caps.DeliveryCount, s.caps.History = true, c.DeliverPolicy == jetstream.DeliverAllPolicy
	s.caps.Order, s.caps.Standby, s.lookAfter = leat.OrderNone, s.ordered, c.AckWait/2
	if s.ordered {
		s.caps.Order, s.lookAfter = leat.OrderPerGroup, c.PinnedTTL/2
	}
	// Without order, a server keeps what is given back. With it, that waits here: a server puts it
	// behind newer messages.
	o.Timed, o.Unordered, o.KeylessLeave = true, !s.ordered, !s.ordered
	s.book = book.New[*message](&s.mu, o)
	s.window = s.book.Open(nil)
	s.keeper = lease.New(lease.Options[uint64, receipt]{
		Term: c.AckWait, Send: s.send, Lost: s.lostMessage, Report: s.report, MaxBatch: mostAcks,
		ExtendTimeout: c.AckWait / 5,
	})
	return s
}

// open subscribes to what the server tells the stream, and starts it.
func (s *Stream) open(ctx context.Context) error {
	if err := s.b.do(ctx, func(context.Context, jetstream.JetStream) error { return s.listen() }); err != nil {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.unlisten()
		return err
	}
	s.b.mu.Lock()
	s.b.streams[s] = struct{}{}
	s.b.mu.Unlock()
	s.mu.Lock()
	s.renew()
	s.mu.Unlock()
	s.tasks.Go(s.run)
	return nil
}

// listen subscribes to what the server tells the stream, unless the stream was given up meanwhile.
func (s *Stream) listen() error {
	heard := map[string]nats.MsgHandler{s.answers + "*": s.answered}
	if s.keeper != nil {
		heard["$JS.EVENT.ADVISORY.CONSUMER.DELETED."+s.stream+"."+s.consumer] = func(*nats.Msg) { s.doubtIt() }
	}
	if s.ordered {
		heard["$JS.EVENT.ADVISORY.CONSUMER.UNPINNED."+s.stream+"."+s.consumer] = func(*nats.Msg) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lookSoon()
		}
	}
	for subject, f := range heard {
		sub, err := s.b.link.nc.Subscribe(subject, f)
		if err != nil {
			return err
		}
		s.mu.Lock()
		late := s.closed
		s.subs = append(s.subs, sub)
		s.mu.Unlock()
		if late {
			s.unlisten()
			return nats.ErrConnectionClosed
		}
	}
	return nil
}

// unlisten ends what listen has begun, without a wait for the client's lock.
func (s *Stream) unlisten() {
	s.mu.Lock()
	subs := s.subs
	s.subs = nil
	s.mu.Unlock()
	for _, sub := range subs {
		s.b.life.Tasks.Go(func() { _ = sub.Unsubscribe() })
	}
}

// createBroadcast makes the consumer of a broadcast, from the next message on. A stream that was
// deleted and created again, or that has lost its end, uses sequences once more.
func (s *Stream) createBroadcast(ctx context.Context, js jetstream.JetStream) error {
	stream, err := js.Stream(ctx, s.stream)
	if err != nil {
		return fmt.Errorf("the stream %q: %w", s.stream, err)
	}
	i := stream.CachedInfo()
	s.mu.Lock()
	if !i.Created.Equal(s.identity.made) {
		s.identity.made, s.next = i.Created, 1
	}
	s.next = min(s.next, i.State.LastSeq+1)
	next := s.next
	s.mu.Unlock()
	config := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq: next, InactiveThreshold: broadcastTTL, MemoryStorage: true, Replicas: 1,
	}
	config.FilterSubject, config.FilterSubjects = s.b.topicOf(s.sub.Topic).filter(&i.Config)
	c, err := js.CreateConsumer(ctx, s.stream, config)
	if err != nil {
		return fmt.Errorf("the consumer of a broadcast of the stream %q: %w", s.stream, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumer = c.CachedInfo().Name
	return nil
}
