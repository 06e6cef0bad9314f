package memory

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// NewOpener returns a [leat.Opener] as [Open], by which a URL may have a name: mem://orders. What
// is opened by one opener under one name are connections to one broker, so that the parts of a
// program that each open their URL meet, as they do on another broker.
//
//	brokers := leat.Openers{"mem": memory.NewOpener(), "kafka": kafka.Open}
//
// The broker lives from the first Open of the name to the Close of its last connection, and is
// empty when the name is opened again. All URLs of a name have the same parameters: others are an
// error with [leat.CodeConflict]. Two openers share nothing. The controls for tests are those of a
// [Broker] that [New] made; a connection has none.
func NewOpener() leat.Opener {
	r := &registry{named: map[string]*shared{}}
	return r.open
}

// registry has the named brokers of an opener.
type registry struct {
	mu    sync.Mutex
	named map[string]*shared
}

// shared is a named broker and the number of its connections.
type shared struct {
	broker *Broker
	conns  int
}

func (r *registry) open(ctx context.Context, u *url.URL) (leat.Broker, error) {
	if u == nil || u.Host == "" {
		return Open(ctx, u)
	}
	if leat.CheckName(u.Host) != nil {
		return nil, options.Invalid(errName)
	}
	unnamed := *u
	unnamed.Host = ""
	o, err := options.FromURL(&unnamed, (*Options).read)
	if err != nil {
		return nil, err
	}
	b := New(o)
	if b.invalid != nil {
		return nil, options.Invalid(b.invalid)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.named[u.Host]
	switch {
	case s == nil:
		s = &shared{broker: b}
		r.named[u.Host] = s
	case !reflect.DeepEqual(s.broker.o, b.o):
		return nil, &leat.Error{Op: "open", Code: leat.CodeConflict, Err: errOtherParameters}
	}
	s.conns++
	c := &conn{b: s.broker, leave: func() error { return r.leave(u.Host, s) }}
	c.ended, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

const errName options.Reason = "the name in mem://name has a character that no name may have, or is too long; " +
	"use up to 249 letters, digits, '.', '_' and '-'"

var errOtherParameters = errors.New("the memory broker of this name is open with other parameters; give all its URLs the same")

// leave takes a connection off, and ends the broker with the last.
func (r *registry) leave(name string, s *shared) error {
	r.mu.Lock()
	s.conns--
	last := s.conns == 0
	if last {
		delete(r.named, name)
	}
	r.mu.Unlock()
	if last {
		return s.broker.Close()
	}
	return nil
}

// conn is one connection to a named broker.
type conn struct {
	b      *Broker
	leave  func() error
	closed atomic.Bool
	ended  context.Context // of the connection
	end    context.CancelCauseFunc

	mu      sync.Mutex
	streams []*Stream
}

var (
	_ leat.Broker         = (*conn)(nil)
	_ leat.Declarer       = (*conn)(nil)
	_ leat.HealthReporter = (*conn)(nil)
	_ leat.LagReporter    = (*conn)(nil)
	_ leat.Browser        = (*conn)(nil)
	_ leat.SystemNamer    = (*conn)(nil)
)

// Limits implements [leat.Broker].
func (c *conn) Limits() leat.Limits { return c.b.Limits() }

// System implements [leat.SystemNamer].
func (c *conn) System() string { return c.b.System() }

// Health implements [leat.HealthReporter].
func (c *conn) Health() error { return c.refusal("health", "") }

func (c *conn) refusal(op, topic string) error {
	if c.closed.Load() {
		return closedError(op, topic)
	}
	return nil
}

// Publish implements [leat.Broker]. The end of the connection ends the wait for room.
func (c *conn) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if err := c.refusal("publish", topic); err != nil {
		refuseAll(events, 0, err, done)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.ended, func() { cancel(errConnClosed) })
	defer stop()
	c.b.Publish(ctx, topic, events, func(i int, err error) {
		if errors.Is(err, errConnClosed) {
			err = &leat.Error{Op: "publish", Topic: topic, EventID: events[i].ID(), Code: leat.CodeClosed, Err: errConnClosed}
		}
		done(i, err)
	})
}

var errConnClosed = errors.New("the connection to the memory broker is closed")

// Declare implements [leat.Declarer].
func (c *conn) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := c.refusal("declare", ""); err != nil {
		return err
	}
	return c.b.Declare(ctx, subs...)
}

// Lag implements [leat.LagReporter].
func (c *conn) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	if err := c.refusal("lag", topic); err != nil {
		return leat.Lag{}, err
	}
	return c.b.Lag(ctx, topic, group)
}

// Browse implements [leat.Browser].
func (c *conn) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	if err := c.refusal("browse", sub.Topic); err != nil {
		return err
	}
	return c.b.Browse(ctx, sub, show)
}

// Subscribe implements [leat.Broker].
func (c *conn) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := c.refusal("subscribe", sub.Topic); err != nil {
		return nil, err
	}
	stream, err := c.b.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	s, ok := stream.(*Stream)
	if !ok {
		return nil, &leat.Error{Op: "subscribe", Topic: sub.Topic, Code: leat.CodeInternal, Err: fmt.Errorf("the stream is a %T", stream)}
	}
	c.mu.Lock()
	c.streams = append(slices.DeleteFunc(c.streams, (*Stream).isClosed), s)
	c.mu.Unlock()
	if err := c.refusal("subscribe", sub.Topic); err != nil { // since a moment ago
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// Close ends the connection and its streams, and the broker where it is the last.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.end(errConnClosed)
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	errs := make([]error, 0, len(streams)+1)
	for _, s := range streams {
		errs = append(errs, s.Close(context.Background()))
	}
	return errors.Join(append(errs, c.leave())...)
}

func (s *Stream) isClosed() bool {
	t := s.group.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.closed
}
