package watermill

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/wire"
)

// subscription is one Subscribe of a [Subscriber]: a Consumer of Leat whose handler hands the
// message out and waits for its Ack.
type subscription struct {
	s        *Subscriber
	topic    string
	out      chan *message.Message
	stopping <-chan struct{}
	failure  failure

	mu       sync.Mutex
	consumer *leat.Consumer
}

var (
	errNacked   = errors.New("the message was nacked")
	errStopping = errors.New("the subscription ends")
)

// restart is how long a subscription waits until it opens a stream again that has failed.
const restart = time.Second

// open declares and subscribes.
func (s *subscription) open(ctx context.Context) (leat.Stream, error) {
	sub := s.s.subscription(s.topic)
	if err := leat.Declare(ctx, s.s.broker, sub); err != nil {
		return nil, err
	}
	return s.s.broker.Subscribe(ctx, sub.WithDefaults())
}

// run consumes until ctx ends or the broker is closed.
func (s *subscription) run(ctx context.Context, stream leat.Stream) {
	defer close(s.out)
	defer s.forget()
	for {
		first := &opened{Broker: s.s.broker, stream: stream}
		c := leat.NewConsumer(first, s.s.subscription(s.topic), leat.HandlerFunc(s.handle), s.options())
		s.mu.Lock()
		s.consumer = c
		s.mu.Unlock()
		err := leat.Run(ctx, c)
		err = errors.Join(err, first.discard())
		stream = nil
		if ctx.Err() != nil || leat.CodeOf(err) == leat.CodeClosed {
			if err != nil {
				s.s.o.Logger.Warn("a subscription ended with an error", "topic", s.topic, "group", s.s.o.Group, "error", err)
			}
			return
		}
		s.failure.note(err)
		s.s.o.Logger.Error("a subscription failed and is opened again", "topic", s.topic, "group", s.s.o.Group, "error", err)
		if !lifecycle.Sleep(ctx, restart) {
			return
		}
	}
}

func (s *subscription) forget() {
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	delete(s.s.faults, s)
}

func (s *subscription) options() *leat.ConsumerOptions {
	o := &s.s.o
	return &leat.ConsumerOptions{
		Concurrency: o.Concurrency, MaxInFlight: o.MaxInFlight, MaxInFlightBytes: o.MaxInFlightBytes, Middleware: o.Middleware,
		PoisonQueue: o.PoisonQueue, ShutdownTimeout: o.CloseTimeout, Observer: o.Observer, Logger: o.Logger,
	}
}

// health tells how the Consumer is, and why the last one failed until the next is well.
func (s *subscription) health() error {
	s.mu.Lock()
	c := s.consumer
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	h := c.Health()
	if h.State == leat.Healthy {
		s.failure.note(nil)
	}
	return errors.Join(append(h.Problems, s.failure.health("subscribing", s.topic))...)
}

// handle hands an event out as a message and waits for its outcome. When the subscription ends
// before somebody took it, the event goes back; that is no failure of its.
func (s *subscription) handle(ctx context.Context, e leat.Event) error {
	m, err := s.s.o.Codec.Restore(e)
	if err != nil {
		return leat.Reject(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if info, _ := leat.InfoFrom(ctx); info.Trace != nil && m.Metadata[wire.TraceParent] == "" {
		addTrace(m, info.Trace) // what is in the message itself is the start of its way
	}
	m.SetContext(ctx)
	select {
	case <-s.stopping:
		return leat.Pause(restart, errStopping)
	default:
	}
	select {
	case s.out <- m:
	case <-s.stopping:
		return leat.Pause(restart, errStopping)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return leat.RetryAfter(s.s.o.NackDelay, errNacked)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// opened is a broker whose first Subscribe was made before, so that its error could be returned.
type opened struct {
	leat.Broker

	stream leat.Stream
}

// Declare implements [leat.Declarer], which the embedded Broker hides.
func (o *opened) Declare(ctx context.Context, subs ...leat.Subscription) error {
	return leat.Declare(ctx, o.Broker, subs...)
}

// Subscribe returns the stream that is there, once.
func (o *opened) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if s := o.stream; s != nil {
		o.stream = nil
		return s, nil
	}
	return o.Broker.Subscribe(ctx, sub)
}

// discard closes the stream that was never asked for.
func (o *opened) discard() error {
	if o.stream == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	return o.stream.Close(ctx)
}
