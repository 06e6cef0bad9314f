package watermill

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/internal/nils"
)

// SubscriberOptions are the options of a [Subscriber]. Group or Broadcast is required.
type SubscriberOptions struct {
	// Group names the consumers that share the messages of a topic, as in [leat.Subscription].
	Group string
	// Broadcast gives this Subscriber every message that is published while it is subscribed,
	// instead.
	Broadcast bool
	// Unordered gives up the order by key.
	Unordered bool
	// Codec says how events become messages.
	Codec Codec

	// NackDelay is how long a message that was nacked waits until it is delivered again; later ones
	// of its key wait with it, others do not. It is the same every time. 0 means 100 ms.
	NackDelay time.Duration
	// Concurrency is how many messages of a subscription may be handed out and neither acked nor
	// nacked. 0 means 100.
	Concurrency int
	// MaxInFlight bounds the messages of a subscription that are received, those that wait
	// included. 0 means 1,000, or ten times the Concurrency where that is more.
	MaxInFlight int
	// MaxInFlightBytes bounds their size in bytes. 0 means 64 MiB.
	MaxInFlightBytes int
	// Middleware of Leat wraps what waits for the Ack. A Nack is an outcome of [leat.RetryAfter] to
	// it.
	Middleware []leat.Middleware
	// PoisonQueue takes what is no CloudEvent, and what Middleware rejects. Without it, that stays
	// unsettled, and health says so.
	PoisonQueue leat.PoisonQueue

	// CloseTimeout is how long messages that were handed out may still be acked when a subscription
	// ends. Then their contexts end, and they go back to the group. 0 means 10 s.
	CloseTimeout time.Duration
	// CloseBroker makes Close close the broker as well, for one that nobody else uses.
	CloseBroker bool
	// Observer sees what becomes of each message, as that of [leat.ConsumerOptions]. Nil means
	// nobody does.
	Observer leat.Observer
	// Logger gets what an operator should know, never a payload. Nil means no log.
	Logger *slog.Logger
}

// Subscriber is a broker of Leat as a Subscriber of Watermill. It is safe for concurrent use.
type Subscriber struct {
	o       SubscriberOptions
	broker  leat.Broker
	invalid error
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	closing sync.Once

	mu     sync.Mutex // cancel is called under it
	runs   sync.WaitGroup
	faults map[*subscription]struct{}
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
	_ leat.HealthReporter          = (*Subscriber)(nil)
)

// closeGrace is what Close waits beyond the CloseTimeout, for a Consumer that gives its stream
// back.
const closeGrace = 5 * time.Second

// NewSubscriber returns a Subscriber on a broker. Wrong options are reported by Subscribe.
func NewSubscriber(broker leat.Broker, o *SubscriberOptions) *Subscriber {
	s := &Subscriber{broker: broker, faults: map[*subscription]struct{}{}}
	if o != nil {
		s.o = *o
	}
	s.invalid = s.o.table().Check()
	s.o.table().Fill()
	if s.o.MaxInFlight == 0 {
		s.o.MaxInFlight = max(1_000, 10*s.o.Concurrency)
	}
	switch {
	case nils.Is(broker):
		s.invalid = errors.New("the broker is nil")
	case s.o.Observer != nil && nils.Is(s.o.Observer):
		s.invalid = errors.New("SubscriberOptions.Observer is a nil in an interface; leave it out, or give one")
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (o *SubscriberOptions) table() options.Table {
	return options.Table{
		options.Duration("SubscriberOptions.NackDelay", &o.NackDelay, 100*time.Millisecond, 1, time.Hour),
		options.Int("SubscriberOptions.Concurrency", &o.Concurrency, 100, 1, 1_000_000),
		options.Int("SubscriberOptions.MaxInFlight", &o.MaxInFlight, 0, 1, math.MaxInt32),
		options.Int("SubscriberOptions.MaxInFlightBytes", &o.MaxInFlightBytes, 0, 1, 1<<40),
		options.Duration("SubscriberOptions.CloseTimeout", &o.CloseTimeout, 10*time.Second, 1, 24*time.Hour),
		options.Logger(&o.Logger),
	}
}

func (s *Subscriber) subscription(topic string) leat.Subscription {
	return leat.Subscription{
		Topic: topic, Group: s.o.Group, Broadcast: s.o.Broadcast, Unordered: s.o.Unordered,
		MaxInFlight: s.o.MaxInFlight, MaxInFlightBytes: s.o.MaxInFlightBytes,
	}
}

// SubscribeInitialize declares the topic and the group, so that the group gets what is published
// from then on. Subscribe does it, too.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	if err := s.refusal(topic); err != nil {
		return err
	}
	return leat.Declare(s.ctx, s.broker, s.subscription(topic))
}

// refusal returns why a call cannot be served, or nil.
func (s *Subscriber) refusal(topic string) error {
	if s.invalid != nil {
		return fault.Errorf("subscribe", topic, leat.CodeInvalid, "%w", s.invalid)
	}
	if s.ctx.Err() != nil {
		return fault.Errorf("subscribe", topic, leat.CodeClosed, "the Subscriber is closed")
	}
	return nil
}

// Subscribe declares the topic and the group, and returns a channel of messages. Messages without a
// key, and those of different keys, come before earlier ones are acked, up to the Concurrency;
// those of one key one after the other, each when the one before was acked. A message that was
// nacked comes again after the NackDelay.
//
// The context of a message has the values of ctx. It ends when the message is acked or nacked, when
// the broker has taken it away (its [context.Cause] is then [leat.ErrLeaseLost], and its Ack has no
// effect), and when the CloseTimeout has passed. When ctx ends or the Subscriber is closed, no more
// messages come, those that were handed out may still be acked until the CloseTimeout, and then the
// channel is closed. While the broker cannot be reached the channel stays open, and
// [Subscriber.Health] tells.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := s.refusal(topic); err != nil {
		return nil, err
	}
	sub := &subscription{s: s, topic: topic, out: make(chan *message.Message)}
	stream, err := sub.open(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if err := s.refusal(topic); err != nil {
		s.mu.Unlock()
		return nil, errors.Join(err, stream.Close(ctx))
	}
	s.faults[sub] = struct{}{}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	sub.stopping = ctx.Done()
	s.runs.Go(func() {
		defer cancel()
		defer stop()
		sub.run(ctx, stream)
	})
	s.mu.Unlock()
	return sub.out, nil
}

// Health returns nil, or why a subscription does not get on: the broker cannot be reached, or
// events that nobody acks use up its limits. Several are joined.
func (s *Subscriber) Health() error {
	s.mu.Lock()
	subs := slices.Collect(maps.Keys(s.faults))
	s.mu.Unlock()
	errs := make([]error, 0, len(subs))
	for _, sub := range subs {
		errs = append(errs, sub.health())
	}
	return errors.Join(errs...)
}

// Close ends all subscriptions as the end of their contexts does, waits for that, and closes the
// broker where [SubscriberOptions].CloseBroker says so. Closing again returns nil.
func (s *Subscriber) Close() (err error) {
	s.closing.Do(func() {
		s.mu.Lock()
		s.cancel()
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), s.o.CloseTimeout+closeGrace)
		defer cancel()
		if await(ctx, func() error { s.runs.Wait(); return nil }) != nil {
			err = fault.Errorf("close", "", leat.CodeUnavailable, "a subscription did not end within the CloseTimeout of %v", s.o.CloseTimeout)
		}
		if s.o.CloseBroker && s.broker != nil {
			if closing := s.broker.Close(); err == nil {
				err = closing
			}
		}
	})
	return err
}
