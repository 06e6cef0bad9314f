package eventtest

import (
	"context"
	"errors"
	"sync"

	"github.com/leatgo/leat"
)

// recorderConn is what an application gets as its broker: one connection to the Recorder's.
type recorderConn struct {
	r *Recorder

	mu      sync.Mutex
	closed  bool
	streams map[*recorderStream]bool
}

func (c *recorderConn) closedError(op, topic string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		return nil
	}
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: errors.New("the broker is closed")}
}

// Publish implements [leat.Broker].
func (c *recorderConn) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if err := c.closedError("publish", topic); err != nil {
		for i := range events {
			done(i, err)
		}
		return
	}
	pubs := c.r.publishBegins(ctx, topic, events)
	c.r.broker.Publish(ctx, topic, events, func(i int, err error) {
		c.r.publishEnds(pubs[i], err)
		done(i, err)
	})
}

// Subscribe implements [leat.Broker].
func (c *recorderConn) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := c.closedError("subscribe", sub.Topic); err != nil {
		return nil, err
	}
	inner, err := c.r.broker.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	s := &recorderStream{conn: c, inner: inner, held: map[*flight]bool{}}
	s.group = c.r.subscribed(sub, inner.Capabilities().History)
	c.mu.Lock()
	c.streams[s] = true
	closed := c.closed
	c.mu.Unlock()
	if closed { // a moment ago
		_ = s.Close(ctx) // the subscription fails anyway
		return nil, c.closedError("subscribe", sub.Topic)
	}
	return s, nil
}

// Declare implements [leat.Declarer].
func (c *recorderConn) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if len(subs) > 0 {
		if err := c.closedError("declare", subs[0].Topic); err != nil {
			return err
		}
	}
	if err := leat.Declare(ctx, c.r.broker, subs...); err != nil {
		return err
	}
	c.r.declared(subs)
	return nil
}

// Lag implements [leat.LagReporter].
func (c *recorderConn) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	if err := c.closedError("lag", topic); err != nil {
		return leat.Lag{}, err
	}
	if l, ok := c.r.broker.(leat.LagReporter); ok {
		return l.Lag(ctx, topic, group)
	}
	return leat.Lag{}, &leat.Error{Op: "lag", Topic: topic, Code: leat.CodeUnsupported, Err: errors.New("the broker cannot tell the lag")}
}

// Browse implements [leat.Browser].
func (c *recorderConn) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	if err := c.closedError("browse", sub.Topic); err != nil {
		return err
	}
	if b, ok := c.r.broker.(leat.Browser); ok {
		return b.Browse(ctx, sub, show)
	}
	return &leat.Error{Op: "browse", Topic: sub.Topic, Code: leat.CodeUnsupported, Err: errors.New("the broker cannot show what a group has")}
}

// Health implements [leat.HealthReporter].
func (c *recorderConn) Health() error {
	if err := c.closedError("health", ""); err != nil {
		return err
	}
	return healthOf(c.r.broker)
}

// Limits implements [leat.Broker].
func (c *recorderConn) Limits() leat.Limits { return c.r.broker.Limits() }

// Close implements [leat.Broker].
func (c *recorderConn) Close() error {
	c.mu.Lock()
	c.closed = true
	streams := c.streams
	c.streams = map[*recorderStream]bool{}
	c.mu.Unlock()
	errs := make([]error, 0, len(streams))
	for s := range streams {
		errs = append(errs, s.Close(context.Background()))
	}
	return errors.Join(errs...)
}

func healthOf(x any) error {
	if h, ok := x.(leat.HealthReporter); ok {
		return h.Health()
	}
	return nil
}

// recorderStream records what goes through a stream.
type recorderStream struct {
	conn  *recorderConn
	inner leat.Stream
	group *groupLog

	// The Recorder's lock guards what follows.
	held   map[*flight]bool // delivered and not settled
	closed bool
}

// Receive implements [leat.Stream]. What it returns has the Recorder's own Handle, which leads to
// the delivery's record.
func (s *recorderStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	n, err := s.inner.Receive(ctx, into)
	if n > 0 {
		s.conn.r.delivered(s, into[:n])
	}
	return n, err
}

// Settle implements [leat.Stream].
func (s *recorderStream) Settle(d *leat.Delivery, settlement leat.Settlement) {
	f, ok := d.Handle.(*flight)
	if !ok {
		s.inner.Settle(d, settlement)
		return
	}
	ended := d.Lease.Ended()
	own := *d
	own.Handle = f.handle
	if settlement.Action == leat.GiveBack { // before the broker delivers it again
		s.conn.r.settled(f, settlement, ended)
		s.inner.Settle(&own, settlement)
		return
	}
	s.inner.Settle(&own, settlement)
	s.conn.r.settled(f, settlement, ended)
}

// Quiesce implements [leat.Quiescer].
func (s *recorderStream) Quiesce() {
	if q, ok := s.inner.(leat.Quiescer); ok {
		q.Quiesce()
	}
}

// Capabilities implements [leat.Stream].
func (s *recorderStream) Capabilities() leat.Capabilities { return s.inner.Capabilities() }

// Health implements [leat.HealthReporter].
func (s *recorderStream) Health() error { return healthOf(s.inner) }

// Close implements [leat.Stream].
func (s *recorderStream) Close(ctx context.Context) error {
	s.conn.mu.Lock()
	delete(s.conn.streams, s)
	s.conn.mu.Unlock()
	s.conn.r.unsubscribed(s)
	return s.inner.Close(ctx)
}
