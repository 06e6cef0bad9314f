package nats

import (
	"context"
	"errors"
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
	var s *Stream
	err = b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		stream, consumer, err := b.provision(ctx, js, sub)
		if err != nil {
			return err
		}
		s = b.newStream(sub.WithDefaults(), stream, consumer)
		if sub.Broadcast {
			return s.createBroadcast(ctx, js)
		}
		return nil
	})
	if err == nil {
		err = s.open()
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
		poke: make(chan struct{}, 1), gone: make(chan struct{}),
		answers: nats.NewInbox() + ".", waiting: map[uint64]chan error{},
	}
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
		s.next = stream.State.LastSeq + 1
		s.window = s.book.Open(s.lease)
		return s
	}
	c := &consumer.Config
	s.consumer, s.ordered, s.ackWait, s.pinnedTTL = consumer.Name, pinned(c), c.AckWait, c.PinnedTTL
	s.pulls.expires, s.mostPending = min(longestPull, c.AckWait/4), c.MaxAckPending
	s.caps.DeliveryCount, s.caps.History = true, c.DeliverPolicy == jetstream.DeliverAllPolicy
	s.caps.Order, s.caps.Standby = leat.OrderNone, s.ordered
	if s.ordered {
		s.caps.Order = leat.OrderPerGroup
	}
	// Without order, a server keeps what is given back. With it, that waits here: a server puts it
	// behind newer messages.
	o.Timed, o.Unordered, o.KeylessLeave = true, !s.ordered, !s.ordered
	s.book = book.New[*message](&s.mu, o)
	s.window = s.book.Open(nil)
	s.keeper = lease.New(lease.Options[uint64, string]{
		Term: c.AckWait, Send: s.send, Lost: s.lostMessage, Report: s.report, MaxBatch: mostAcks,
	})
	return s
}

// open subscribes to what the server tells the stream, and starts it.
func (s *Stream) open() error {
	nc := s.b.link.nc
	var err error
	if s.answerSub, err = nc.Subscribe(s.answers+"*", s.answered); err != nil {
		return err
	}
	if s.ordered {
		subject := "$JS.EVENT.ADVISORY.CONSUMER.UNPINNED." + s.stream + "." + s.consumer
		if s.adviceSub, err = nc.Subscribe(subject, func(*nats.Msg) { s.doubtPin() }); err != nil {
			return errors.Join(err, s.answerSub.Unsubscribe())
		}
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

// createBroadcast makes the consumer of a broadcast, from the next message on.
func (s *Stream) createBroadcast(ctx context.Context, js jetstream.JetStream) error {
	s.mu.Lock()
	next := s.next
	s.mu.Unlock()
	c, err := js.CreateConsumer(ctx, s.stream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq: next, InactiveThreshold: broadcastTTL, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return fmt.Errorf("the consumer of a broadcast of the stream %q: %w", s.stream, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumer = c.CachedInfo().Name
	return nil
}
