package eventtest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/leatgo/leat"
)

// bent is a broker of which some methods are replaced. Each replacement gets the broker behind it.
type bent struct {
	leat.Broker

	publish   func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(i int, err error))
	withdraw  func(b leat.Broker, ctx context.Context, topic string, events []leat.Event)
	declare   func(b leat.Broker, ctx context.Context, subs []leat.Subscription) error
	subscribe func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error)
	stream    func(sub leat.Subscription, s leat.Stream) leat.Stream
	limits    func(b leat.Broker, closed bool) leat.Limits
	close     func(b leat.Broker, closed bool) error
	health    func(b leat.Broker) error
	lag       func(l leat.Lag) leat.Lag
	browse    func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error

	closed atomic.Bool
}

func (b *bent) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if b.publish == nil {
		b.Broker.Publish(ctx, topic, events, done)
		return
	}
	b.publish(b.Broker, ctx, topic, events, done)
}

func (b *bent) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	if b.withdraw != nil {
		b.withdraw(b.Broker, ctx, topic, events)
	} else if w, ok := b.Broker.(leat.Withdrawer); ok {
		w.Withdraw(ctx, topic, events)
	}
}

func (b *bent) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if b.declare == nil {
		return b.Broker.(leat.Declarer).Declare(ctx, subs...)
	}
	return b.declare(b.Broker, ctx, subs)
}

func (b *bent) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	l, ok := b.Broker.(leat.LagReporter)
	if !ok {
		return leat.Lag{}, failed(leat.CodeUnsupported)
	}
	lag, err := l.Lag(ctx, topic, group)
	if b.lag != nil && err == nil {
		lag = b.lag(lag)
	}
	return lag, err
}

func (b *bent) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	l, ok := b.Broker.(leat.Browser)
	if !ok {
		return failed(leat.CodeUnsupported)
	}
	if b.browse != nil {
		return b.browse(l, ctx, sub, show)
	}
	return l.Browse(ctx, sub, show)
}

func (b *bent) Health() error {
	if b.health == nil {
		return b.Broker.(leat.HealthReporter).Health()
	}
	return b.health(b.Broker)
}

func (b *bent) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	var s leat.Stream
	var err error
	if b.subscribe == nil {
		s, err = b.Broker.Subscribe(ctx, sub)
	} else {
		s, err = b.subscribe(b.Broker, ctx, sub)
	}
	if err != nil || b.stream == nil {
		return s, err
	}
	return b.stream(sub, s), nil
}

func (b *bent) Limits() leat.Limits {
	if b.limits == nil {
		return b.Broker.Limits()
	}
	return b.limits(b.Broker, b.closed.Load())
}

func (b *bent) Close() error {
	closed := b.closed.Swap(true)
	if b.close == nil {
		return b.Broker.Close()
	}
	return b.close(b.Broker, closed)
}

// bentStream is a stream of which some methods are replaced. Each replacement gets the stream
// behind it.
type bentStream struct {
	leat.Stream

	receive      func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error)
	settle       func(s leat.Stream, d *leat.Delivery, how leat.Settlement)
	quiesce      func(s leat.Stream)
	capabilities func(c leat.Capabilities, closed bool) leat.Capabilities
	close        func(s leat.Stream, closed bool) error

	closed atomic.Bool
}

func (s *bentStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	if s.receive == nil {
		return s.Stream.Receive(ctx, into)
	}
	return s.receive(s.Stream, ctx, into)
}

func (s *bentStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if s.settle == nil {
		s.Stream.Settle(d, how)
		return
	}
	s.settle(s.Stream, d, how)
}

func (s *bentStream) Quiesce() {
	if s.quiesce == nil {
		quiesce(s.Stream)
		return
	}
	s.quiesce(s.Stream)
}

// quiesce passes Quiesce on to a stream that wants to know.
func quiesce(s leat.Stream) {
	if q, ok := s.(leat.Quiescer); ok {
		q.Quiesce()
	}
}

func (s *bentStream) Capabilities() leat.Capabilities {
	if s.capabilities == nil {
		return s.Stream.Capabilities()
	}
	return s.capabilities(s.Stream.Capabilities(), s.closed.Load())
}

func (s *bentStream) Health() error { return healthOf(s.Stream) }

// healthOf passes Health on to a part that can tell.
func healthOf(part any) error {
	if h, ok := part.(leat.HealthReporter); ok {
		return h.Health()
	}
	return nil
}

func (s *bentStream) Close(ctx context.Context) error {
	closed := s.closed.Swap(true)
	if s.close == nil {
		return s.Stream.Close(ctx)
	}
	return s.close(s.Stream, closed)
}

// bend returns the wrap of a mutant: change sets what is replaced.
func bend(change func(b *bent)) func(leat.Broker) leat.Broker {
	return func(inner leat.Broker) leat.Broker {
		b := &bent{Broker: inner}
		change(b)
		return b
	}
}

// bendStreams does it for every stream.
func bendStreams(change func(sub leat.Subscription, s *bentStream)) func(leat.Broker) leat.Broker {
	return bend(func(b *bent) {
		b.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
			s := &bentStream{Stream: inner}
			change(sub, s)
			return s
		}
	})
}

// edit changes each delivery, or drops it where change returns false.
func edit(change func(s leat.Stream, d *leat.Delivery) bool) func(leat.Stream, context.Context, []leat.Delivery) (int, error) {
	return func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
		for {
			n, err := s.Receive(ctx, into)
			kept := 0
			for i := range n {
				if change(s, &into[i]) {
					into[kept] = into[i]
					kept++
				}
			}
			if err != nil || kept > 0 {
				return kept, err
			}
		}
	}
}

// set is a set of strings for several goroutines.
type set struct{ sync.Map }

// add reports whether v is new.
func (s *set) add(v string) bool {
	_, old := s.LoadOrStore(v, true)
	return !old
}

func (s *set) has(v string) bool {
	_, ok := s.Load(v)
	return ok
}

func failed(code leat.Code) error {
	return &leat.Error{Op: "mutant", Code: code, Err: errors.New("a mutant says so")}
}

func ack(s leat.Stream, d *leat.Delivery) { s.Settle(d, leat.Settlement{Action: leat.Ack}) }
