package eventtest_test

import (
	"context"
	"sync"

	"github.com/leatgo/leat"
)

// defect is what a shell does otherwise than it should. Nil functions are as they should be.
type defect struct {
	publish     func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error))
	declare     func(b *shell, ctx context.Context, subs ...leat.Subscription) error
	subscribe   func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error)
	receive     func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error)
	settle      func(s *shellStream, d *leat.Delivery, how leat.Settlement)
	quiesce     func(s *shellStream)
	closeStream func(s *shellStream, ctx context.Context) error
	close       func(b *shell) error
	leases      func(s *shellStream, inner *leat.Lease) *leat.Lease // the lease to hand out instead
	killed, cut func()                                              // told before it happens
	keepsLeases bool                                                // a cut ends no lease

	gate gate
}

// wrap returns the function that puts a shell with the defect around a broker.
func (d *defect) wrap() func(leat.Broker) leat.Broker {
	return func(b leat.Broker) leat.Broker {
		s := &shell{Broker: b, d: d}
		s.ended, s.end = context.WithCancel(context.Background())
		s.over = s.ended.Done()
		return s
	}
}

// gate is what a pause of the broker closes.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil while open
}

func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

func (g *gate) paused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened != nil
}

// wait waits for the gate; its error is that of ctx, or CodeClosed.
func (g *gate) wait(ctx context.Context, over <-chan struct{}) error {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return closedShell()
	}
}

func closedShell() error { return &leat.Error{Op: "shell", Code: leat.CodeClosed} }

// shellHarness hands out shells, which can be paused; around other brokers a pause does nothing.
type shellHarness struct{ mutantHarness }

// defect returns that of the shells, and an empty one around other brokers.
func (h shellHarness) defect() *defect {
	if s, ok := h.wrap(nil).(*shell); ok {
		return s.d
	}
	return &defect{}
}

func (h shellHarness) Pause(context.Context) error {
	h.defect().gate.pause()
	return nil
}

func (h shellHarness) Resume(context.Context) error {
	h.defect().gate.resume()
	return nil
}

func (h shellHarness) Kill(ctx context.Context) error {
	if d := h.defect(); d.killed != nil {
		d.killed()
	}
	return h.mutantHarness.Kill(ctx)
}

func (h shellHarness) Cut(context.Context) error {
	d := h.defect()
	if d.cut != nil {
		d.cut()
	}
	if !d.keepsLeases {
		h.broker.Crash()
	}
	h.cutLines()
	return nil
}

// shell is an instance of an adapter around the in-memory broker, with a Close of its own and a
// defect.
type shell struct {
	leat.Broker

	d     *defect
	over  <-chan struct{} // closed by Close, with what follows
	ended context.Context
	end   context.CancelFunc

	mu      sync.Mutex
	closed  bool
	streams []*shellStream
}

func (b *shell) isClosed() bool {
	select {
	case <-b.over:
		return true
	default:
		return false
	}
}

func refuse(events []leat.Event, code leat.Code, done func(int, error)) {
	for i, e := range events {
		done(i, &leat.Error{Op: "publish", EventID: e.ID(), Code: code})
	}
}

func (b *shell) Publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if b.d.publish != nil {
		b.d.publish(b, ctx, topic, events, done)
		return
	}
	b.publish(ctx, topic, events, done)
}

func (b *shell) publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if b.isClosed() {
		refuse(events, leat.CodeClosed, done)
		return
	}
	if err := b.d.gate.wait(ctx, b.over); err != nil {
		code := leat.CodeOf(err)
		if code == leat.CodeClosed {
			code = leat.CodeUnknown
		}
		refuse(events, code, done)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		refuse(events, leat.CodeClosed, done)
		return
	}
	b.mu.Unlock()
	stop := context.AfterFunc(b.ended, cancel)
	defer stop()
	b.Broker.Publish(ctx, topic, events, done)
}

func (b *shell) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	if w, ok := b.Broker.(leat.Withdrawer); ok {
		w.Withdraw(ctx, topic, events)
	}
}

func (b *shell) Health() error { return healthOf(b.Broker) }

func (b *shell) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if b.isClosed() {
		return closedShell()
	}
	if err := b.d.gate.wait(ctx, b.over); err != nil {
		return err
	}
	if b.d.declare != nil {
		return b.d.declare(b, ctx, subs...)
	}
	return leat.Declare(ctx, b.Broker, subs...)
}

func (b *shell) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if b.isClosed() {
		return nil, closedShell()
	}
	if err := b.d.gate.wait(ctx, b.over); err != nil {
		return nil, err
	}
	subscribe := (*shell).subscribe
	if b.d.subscribe != nil {
		subscribe = b.d.subscribe
	}
	s, err := subscribe(b, ctx, sub)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams = append(b.streams, s)
	return s, nil
}

func (b *shell) subscribe(ctx context.Context, sub leat.Subscription) (*shellStream, error) {
	inner, err := b.Broker.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	return &shellStream{Stream: inner, b: b, sub: sub, held: map[delivered]*unsettled{}, leases: map[*leat.Lease]*leat.Lease{}}, nil
}

func (b *shell) Close() error {
	if b.d.close != nil {
		return b.d.close(b)
	}
	return b.close()
}

func (b *shell) close() error {
	b.mu.Lock()
	closed, streams := b.closed, b.streams
	b.closed = true
	b.mu.Unlock()
	if closed {
		return nil
	}
	b.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait) // the broker may be out of reach
	defer cancel()
	for _, s := range streams {
		_ = s.Stream.Close(ctx)
	}
	if n, ok := b.Broker.(*nowhere); ok {
		return n.Close()
	}
	return nil
}
