package eventtest_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// viewTerm is the term of the broker's leases. A process that is kept waiting for four fifths of it
// loses them.
const viewTerm = time.Second

// view is one client of a memory broker that others use as well. It plays an adapter with a
// connection and with timed leases: what it delivers has leases of its own, which it extends; while
// it is isolated, nothing passes between it and the broker, and both go on by their own clocks.
type view struct {
	broker *memory.Broker
	line   *line // what publishes go through
	flaws  flaws
	gone   func() // told by Close

	mu      sync.Mutex
	closed  bool
	over    chan struct{} // closed by Close
	away    chan struct{} // closed at the rejoin; nil while nothing keeps the broker away
	dropped bool
	streams []*viewStream
}

// flaws is what a mutant of a view does wrong.
type flaws struct {
	term      time.Duration // that the client takes for the broker's
	keepsLost bool          // it does not end leases that were made to expire
	// received changes what Receive returns; nil changes nothing.
	received func(s *viewStream, ds []leat.Delivery)
	// mutes says after which delivery a stream extends no lease any more; nil is after none.
	mutes func(d *leat.Delivery) bool
	// late settles in place of the stream, also what is late. ended says whether the lease had
	// ended by the call of Settle.
	late func(s *viewStream, d *leat.Delivery, how leat.Settlement, ended bool)
	// closing is called when a stream closes, before anything else.
	closing func(s *viewStream)
}

func newView(b *memory.Broker) *view {
	return &view{broker: b, line: &line{broker: b}, flaws: flaws{term: viewTerm}, gone: func() {}, over: make(chan struct{})}
}

// viewOf finds the view behind what mutants put around it.
func viewOf(b leat.Broker) *view {
	for {
		switch outer := b.(type) {
		case *view:
			return outer
		case orderless:
			return outer.view
		case *bent:
			b = outer.Broker
		case *shell:
			b = outer.Broker
		default:
			panic("eventtest: the harness has not opened this broker")
		}
	}
}

// isolate keeps the broker away.
func (v *view) isolate() {
	v.line.freeze()
	v.mu.Lock()
	if v.away == nil {
		v.away = make(chan struct{})
	}
	streams := v.streams
	v.mu.Unlock()
	for _, s := range streams {
		s.wake()
	}
}

// drop is isolate for good.
func (v *view) drop() {
	v.isolate()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dropped = true
}

// rejoin lets what waits in the connections go on.
func (v *view) rejoin() {
	v.mu.Lock()
	away, streams := v.away, v.streams
	if away == nil || v.dropped {
		v.mu.Unlock()
		return
	}
	v.mu.Unlock()
	for _, s := range streams {
		s.flush()
	}
	v.mu.Lock()
	v.away = nil
	v.mu.Unlock()
	for _, s := range streams {
		s.flush() // what came meanwhile
		s.beat()
	}
	close(away)
	v.line.thaw()
}

// reach waits until the broker can be reached.
func (v *view) reach(ctx context.Context, op, topic string) error {
	v.mu.Lock()
	away := v.away
	v.mu.Unlock()
	if away == nil {
		return nil
	}
	select {
	case <-away:
		return nil
	case <-v.over:
		return v.refuse(op, topic)
	case <-ctx.Done():
		return &leat.Error{Op: op, Topic: topic, Code: leat.CodeUnavailable, Err: ctx.Err()}
	}
}

func (v *view) isAway() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.away != nil
}

// refuse returns the error of every call after Close.
func (v *view) refuse(op, topic string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		return nil
	}
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: errors.New("this view of the memory broker is closed")}
}

func (v *view) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if err := v.refuse("publish", topic); err != nil {
		for i := range events {
			done(i, err)
		}
		return
	}
	v.line.publish(ctx, topic, events, done)
}

func (v *view) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	v.line.withdraw(ctx, topic, events)
}

func (v *view) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := v.refuse("subscribe", sub.Topic); err != nil {
		return nil, err
	}
	if err := v.reach(ctx, "subscribe", sub.Topic); err != nil {
		return nil, err
	}
	s, err := newViewStream(ctx, v, sub)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.streams = append(v.streams, s)
	closed := v.closed
	v.mu.Unlock()
	if closed { // in between
		return nil, errors.Join(v.refuse("subscribe", sub.Topic), s.Close(ctx))
	}
	return s, nil
}

func (v *view) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := v.refuse("declare", ""); err != nil {
		return err
	}
	if err := v.reach(ctx, "declare", ""); err != nil {
		return err
	}
	return v.broker.Declare(ctx, subs...)
}

func (v *view) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	if err := v.refuse("lag", topic); err != nil {
		return leat.Lag{}, err
	}
	if err := v.reach(ctx, "lag", topic); err != nil {
		return leat.Lag{}, err
	}
	return v.broker.Lag(ctx, topic, group)
}

func (v *view) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	if err := v.refuse("browse", sub.Topic); err != nil {
		return err
	}
	if err := v.reach(ctx, "browse", sub.Topic); err != nil {
		return err
	}
	return v.broker.Browse(ctx, sub, show)
}

func (v *view) Health() error {
	if err := v.refuse("health", ""); err != nil {
		return err
	}
	if v.isAway() {
		return unreachable("health", "")
	}
	return v.broker.Health()
}

func unreachable(op, topic string) error {
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeUnavailable, Err: errors.New("the broker does not answer")}
}

func (v *view) Limits() leat.Limits { return v.broker.Limits() }

// closeWait is how long Close waits for a broker that does not answer.
const closeWait = 200 * time.Millisecond

func (v *view) Close() error {
	v.mu.Lock()
	streams := v.streams
	if !v.closed {
		close(v.over)
	}
	v.closed, v.streams = true, nil
	v.mu.Unlock()
	v.line.close()
	v.gone()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	var errs []error
	for _, s := range streams {
		errs = append(errs, s.Close(ctx))
	}
	return errors.Join(errs...)
}
