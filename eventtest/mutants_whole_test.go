package eventtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
)

// TestWholeLevelUnderFaults runs the whole level on a shell around the in-memory broker that breaks nothing, but can be paused, killed
// and cut, so that the cases which need that are seen to pass.
func TestWholeLevelUnderFaults(t *testing.T) {
	var names []string
	for _, c := range eventtest.Cases() {
		if c.Level == eventtest.Whole {
			names = append(names, c.Name)
		}
	}
	h := mutantHarness{newMemoryHarness(), (&defect{}).wrap()}
	eventtest.TestAdapter(t, h, &eventtest.Options{Only: names})
}

// wholeMutants break rules that show with a Producer and a Consumer. Each breaks as little as it can, so that the others' cases pass.
func wholeMutants() []mutant {
	return []mutant{
		{name: "acks at delivery what has no key", rule: "whole-drain-finishes-work", wrap: acksAtDelivery()},
	}
}

// acksAtDelivery settles before anybody has handled.
func acksAtDelivery() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		for i := range n {
			if into[i].Malformed == nil && into[i].Event.Key() == "" {
				d := into[i]
				s.settle(&d, leat.Settlement{Action: leat.Ack})
			}
		}
		return n, err
	}}).wrap()
}

var _ = []any{bytes.Equal, json.Valid, errors.New, strings.Cut, time.Now}

// defect is what a shell does otherwise than it should. Nil functions are as they should be.
type defect struct {
	publish     func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error))
	declare     func(b *shell, ctx context.Context, subs ...leat.Subscription) error
	subscribe   func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error)
	receive     func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error)
	settle      func(s *shellStream, d *leat.Delivery, how leat.Settlement)
	closeStream func(s *shellStream, ctx context.Context) error
	close       func(b *shell) error
	leases      func(s *shellStream, inner *leat.Lease) *leat.Lease // the lease to hand out instead

	gate gate
}

// wrap returns the function that puts a shell with the defect around a broker.
func (d *defect) wrap() func(leat.Broker) leat.Broker {
	return func(b leat.Broker) leat.Broker { return &shell{Broker: b, d: d, over: make(chan struct{})} }
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

// Pause, Resume, Kill, Start and Cut control the broker behind a shell; around other brokers a pause does nothing.
func (h mutantHarness) Pause(context.Context) error {
	if s, ok := h.wrap(nil).(*shell); ok {
		s.d.gate.pause()
	}
	return nil
}

func (h mutantHarness) Resume(context.Context) error {
	if s, ok := h.wrap(nil).(*shell); ok {
		s.d.gate.resume()
	}
	return nil
}

func (h mutantHarness) Kill(context.Context) error {
	h.broker.Crash()
	return nil
}

func (h mutantHarness) Start(context.Context) error { return nil }

func (h mutantHarness) Cut(context.Context) error {
	h.broker.Crash()
	return nil
}

// shell is an instance of an adapter around the in-memory broker, with a Close of its own and a defect.
type shell struct {
	leat.Broker

	d    *defect
	over chan struct{} // closed by Close

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
	b.Broker.Publish(ctx, topic, events, done)
}

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
	close(b.over)
	for _, s := range streams {
		_ = s.Stream.Close(context.Background())
	}
	return nil
}

// delivered names a delivery by what the broker finds it by.
type delivered struct {
	handle any
	tag    uint64
}

// unsettled is a delivery that is not settled.
type unsettled struct {
	d     leat.Delivery // as the broker gave it
	since time.Time
	above int // settled ones that came later
	order int
}

// shellStream is a stream of a shell.
type shellStream struct {
	leat.Stream

	b   *shell
	sub leat.Subscription

	mu      sync.Mutex
	pending []func()           // settlements that wait for the end of a pause
	extra   []leat.Delivery    // to be received before what the broker has
	kick    context.CancelFunc // ends the wait for the broker, because there is extra
	held    map[delivered]*unsettled
	count   int
	leases  map[*leat.Lease]*leat.Lease // by the broker's
	note    int                         // for the defect's use
}

// Capabilities says that events survive a crash, as they do the one that the harness makes.
func (s *shellStream) Capabilities() leat.Capabilities {
	c := s.Stream.Capabilities()
	c.Durable = true
	return c
}

func (s *shellStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		n, err := 0, error(nil)
		if s.b.d.receive != nil {
			n, err = s.b.d.receive(s, ctx, into)
		} else {
			n, err = s.receive(ctx, into)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// receive takes what was injected, or what the broker has. It may return nothing at all.
func (s *shellStream) receive(ctx context.Context, into []leat.Delivery) (int, error) {
	if err := s.b.d.gate.wait(ctx, s.b.over); err != nil {
		return 0, err
	}
	s.flush()
	s.mu.Lock()
	if n := copy(into, s.extra); n > 0 {
		s.extra = s.extra[n:]
		s.mu.Unlock()
		return n, nil
	}
	kicked, kick := context.WithCancel(ctx)
	defer kick()
	s.kick = kick
	s.mu.Unlock()
	n, err := s.Stream.Receive(kicked, into)
	if err != nil && ctx.Err() == nil && kicked.Err() != nil {
		return 0, nil
	}
	if waitErr := s.b.d.gate.wait(ctx, s.b.over); waitErr != nil {
		return 0, waitErr
	}
	for i := range n {
		s.hold(&into[i])
	}
	return n, err
}

func (s *shellStream) hold(d *leat.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	s.held[delivered{d.Handle, d.Tag}] = &unsettled{d: *d, since: time.Now(), order: s.count}
	if s.b.d.leases != nil {
		own := s.leases[d.Lease]
		if own == nil || own.Ended() {
			own = s.b.d.leases(s, d.Lease)
			s.leases[d.Lease] = own
		}
		d.Lease = own
	}
}

// inject lets Receive return d, which the broker knows nothing about, under a lease of its own.
func (s *shellStream) inject(d leat.Delivery) {
	d.Handle, d.Tag, d.Lease = nil, 0, leat.NewLease()
	s.deliver(d)
}

// deliver lets Receive return d.
func (s *shellStream) deliver(d leat.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = append(s.extra, d)
	if s.kick != nil {
		s.kick()
	}
}

func (s *shellStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if s.b.d.settle != nil {
		s.b.d.settle(s, d, how)
		return
	}
	s.settle(d, how)
}

func (s *shellStream) settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	key := delivered{d.Handle, d.Tag}
	if u := s.held[key]; u != nil {
		for _, other := range s.held {
			if other.order < u.order {
				other.above++
			}
		}
		delete(s.held, key)
	}
	s.mu.Unlock()
	if s.b.d.gate.paused() {
		own := *d
		s.mu.Lock()
		s.pending = append(s.pending, func() { s.Stream.Settle(&own, how) })
		s.mu.Unlock()
		return
	}
	s.flush()
	s.Stream.Settle(d, how)
}

// flush settles what waited for the end of a pause.
func (s *shellStream) flush() {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, settle := range pending {
		settle()
	}
}

// isHeld reports whether a delivery of the broker is not settled, and what it was.
func (s *shellStream) isHeld(d *leat.Delivery) (unsettled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.held[delivered{d.Handle, d.Tag}]
	if u == nil {
		return unsettled{}, false
	}
	return *u, true
}

func (s *shellStream) Close(ctx context.Context) error {
	if s.b.d.closeStream != nil {
		return s.b.d.closeStream(s, ctx)
	}
	return s.close(ctx)
}

func (s *shellStream) close(ctx context.Context) error {
	if err := s.b.d.gate.wait(ctx, s.b.over); err != nil {
		_ = s.Stream.Close(ctx)
		return &leat.Error{Op: "close", Topic: s.sub.Topic, Code: leat.CodeUnavailable, Err: err}
	}
	s.flush()
	return s.Stream.Close(ctx)
}
