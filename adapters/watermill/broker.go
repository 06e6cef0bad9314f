package watermill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/leatgo/leat/internal/nils"
)

// Broker is a Watermill Publisher and Subscriber as a broker of Leat. It implements [leat.Broker],
// [leat.Declarer] and [leat.HealthReporter], and is safe for concurrent use.
type Broker struct {
	o         Options
	publisher *publisher
	single    message.Subscriber // of New
	life      lifecycle.Life[*Stream]

	mu          sync.Mutex
	group       string // the one that uses single
	subscribers map[string]message.Subscriber
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.Declarer       = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
)

// New returns a Broker over a Pub/Sub. The Subscriber is that of one group; it is nil where
// [Options].NewSubscriber makes one for each. The Broker closes both unless KeepOpen is set. A nil
// o means the defaults. The error is an [*leat.Error] with [leat.CodeInvalid].
func New(pub message.Publisher, sub message.Subscriber, o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults(), single: sub, subscribers: map[string]message.Subscriber{}}
	b.life.Broker = broker
	if err := b.o.validate(pub, sub); err != nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
	}
	b.publisher = newPublisher(pub, &b.o)
	return b, nil
}

// System implements [leat.SystemNamer]. It returns "watermill": it does not know what is behind it.
func (b *Broker) System() string { return "watermill" }

// Limits returns the largest event, from [Options].
func (b *Broker) Limits() leat.Limits { return leat.Limits{MaxEventBytes: b.o.MaxEventBytes} }

// Publish implements [leat.Broker]. Each event is a message in a call of the Publisher of its own,
// so that its outcome is known: nil where the Publisher returned nil, which is worth what the
// Pub/Sub makes of it; unknown where it failed, unless [Options].Refused knows better.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	refusal, trace := b.life.RefusePublish(ctx, topic), leat.TraceFrom(ctx)
	accept := b.publisher.accept
	if b.o.Inline {
		accept = b.publisher.inline
	}
	b.publisher.ledger.Publish(ctx, topic, events, done, func(e leat.Event, j *job) error {
		j.trace = trace
		return cmp.Or(refusal, publish.Check(e, b.o.MaxEventBytes))
	}, accept)
}

// Declare implements [leat.Declarer] as [Options].SkipInitialize says: it calls SubscribeInitialize
// of the group's Subscriber, where that has it. Whether a group exists from then on depends on the
// Pub/Sub. Of a topic alone it declares nothing. It refuses with [leat.CodeUnsupported] what
// Subscribe refuses so.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	errs := make([]error, 0, len(subs))
	for _, sub := range subs {
		errs = append(errs, b.declare(ctx, sub))
	}
	return fault.Join(errs...)
}

func (b *Broker) declare(ctx context.Context, sub leat.Subscription) error {
	if err := b.life.RefuseDeclare(ctx, sub); err != nil || sub.Group == "" && !sub.Broadcast {
		return err // Watermill has no call for a topic alone
	}
	if err := b.refusal("declare", sub); err != nil || b.o.SkipInitialize {
		return err
	}
	s, err := b.subscriber(ctx, "declare", sub)
	if err != nil {
		return err
	}
	initializer, ok := s.(message.SubscribeInitializer)
	if !ok {
		return nil
	}
	return failed(ctx, "declare", sub.Topic, await(ctx, func() error { return initializer.SubscribeInitialize(sub.Topic) }))
}

// await waits for a call of the Pub/Sub, none of which takes a context, as long as ctx lasts. What
// goes on by itself is nothing that Close waits for.
func await(ctx context.Context, f func() error) error { return new(lifecycle.Tasks).Await(ctx, f) }

// refusal returns why a subscription cannot be held as asked, or nil.
func (b *Broker) refusal(op string, sub leat.Subscription) error {
	switch {
	case sub.Broadcast:
		return fault.Errorf(op, sub.Topic, leat.CodeUnsupported, "there is no broadcast over Watermill; give each process a group of its own")
	case !sub.Unordered && b.o.Order == leat.OrderNone:
		return fault.Errorf(op, sub.Topic, leat.CodeUnsupported,
			"the Pub/Sub keeps no order by key; set Unordered, or say otherwise by Options.Order")
	}
	return nil
}

// subscriber returns the Subscriber of a group.
func (b *Broker) subscriber(ctx context.Context, op string, sub leat.Subscription) (message.Subscriber, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.life.Closed(op, sub.Topic); err != nil { // under the lock, so that Close sees what is added
		return nil, err
	}
	if b.o.NewSubscriber == nil {
		if b.group == "" {
			b.group = sub.Group
		}
		if b.group != sub.Group {
			return nil, fault.Errorf(op, sub.Topic, leat.CodeUnsupported,
				"the Subscriber is used by the group %q; set NewSubscriber for more than one group", b.group)
		}
		return b.single, nil
	}
	if s := b.subscribers[sub.Group]; s != nil {
		return s, nil
	}
	s, err := b.o.NewSubscriber(sub.Group)
	if err != nil {
		return nil, failed(ctx, op, sub.Topic, fmt.Errorf("NewSubscriber failed: %w", err))
	}
	if nils.Is(s) {
		return nil, fault.Errorf(op, sub.Topic, leat.CodeInvalid, "NewSubscriber returned nil")
	}
	b.subscribers[sub.Group] = s
	return s, nil
}

// Subscribe implements [leat.Broker]. With order by key, which is the default of a subscription, it
// is refused with [leat.CodeUnsupported] where [Options].Order does not say that the Pub/Sub has
// it. The stream is a [*Stream].
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := cmp.Or(b.life.RefuseSubscribe(ctx, sub), b.refusal("subscribe", sub)); err != nil {
		return nil, err
	}
	subscriber, err := b.subscriber(ctx, "subscribe", sub)
	if err != nil {
		return nil, err
	}
	s := newStream(b, sub.WithDefaults(), subscriber)
	f, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.life.Add(sub.Topic, s); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	b.life.Tasks.Go(func() { s.keep(f) })
	return s, nil
}

// Health returns nil, or an [*leat.Error] that says that the last publish failed. Whether a stream
// cannot subscribe again is in [Stream.Health]. Watermill has no way to tell more: what a
// Subscriber meets while it runs is only in its log.
func (b *Broker) Health() error {
	if err := b.life.Closed("health", ""); err != nil {
		return err
	}
	return b.publisher.failure.health("publishing", "")
}

// Close closes the streams, waits for the Publisher's answers, and closes the Subscribers and,
// unless [Options].KeepOpen is set, what New was given, all within [Options].CloseTimeout.
// Publishes without an answer by then are reported as unknown. A call of the Pub/Sub that does not
// return by then goes on by itself: Watermill has no way to end it. The error is that of the
// Pub/Sub. Closing again returns nil.
func (b *Broker) Close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), b.o.CloseTimeout)
	defer cancel()
	quiet := false
	b.life.Close(b.o.CloseTimeout, func(ctx context.Context) {
		if b.o.Closing != nil {
			b.o.Closing()
		}
		quiet = b.publisher.close(ctx)
	}, func([]*Stream) { err = b.closePubSub(ctx, quiet) })
	return err
}

// closePubSub closes what the Broker has of the Pub/Sub. quiet says that no call of the Publisher
// is under way.
func (b *Broker) closePubSub(ctx context.Context, quiet bool) error {
	var closers []func() error
	b.mu.Lock()
	for _, s := range b.subscribers {
		closers = append(closers, s.Close)
	}
	b.mu.Unlock()
	if !b.o.KeepOpen {
		if b.single != nil {
			closers = append(closers, b.single.Close)
		}
		closers = append(closers, func() error {
			if !quiet {
				b.publisher.idle.Wait() // closing some Publishers under a call makes them panic
			}
			return b.publisher.pub.Close()
		})
	}
	errs := make([]error, len(closers))
	err := await(ctx, func() error {
		var closing sync.WaitGroup
		for i, c := range closers {
			closing.Go(func() { errs[i] = c() })
		}
		closing.Wait()
		return errors.Join(errs...)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fault.Errorf("close", "", leat.CodeUnavailable, "the Pub/Sub did not close within the CloseTimeout: %w", err)
	}
	return err
}
