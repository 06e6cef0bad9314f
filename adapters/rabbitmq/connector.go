package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/internal/backoff"
	amqp "github.com/rabbitmq/amqp091-go"
)

// connector keeps one connection for a purpose. Whoever needs it waits for one attempt at a time.
type connector struct {
	o       *Options
	purpose string
	failed  *sync.Map       // when an attempt to connect to a host has failed last, whatever it was for
	outage  *fault.Incident // that there is no connection, whatever it would be for
	ctx     context.Context //nolint:containedctx // it ends with the connector
	cancel  context.CancelFunc
	wg      sync.WaitGroup // attempts

	mu       sync.Mutex
	closed   bool
	current  *session
	attempt  chan struct{} // closed when the attempt is over that all wait for that need a connection; nil while there is none
	rested   bool          // that is not in the pause before it any more
	failures int           // attempts in a row that have failed
	dropped  int           // of them, the last ones that were ended during the login
	hopeless int           // of them, the last ones that will not pass by themselves
	next     int           // the host to try next
	dials    []time.Time   // when each host was tried
	lost     fault.Symptom // why there is no connection
}

// reconnects paces attempts when all hosts have failed. Jitter takes away, and leaves at least the
// dialPause.
func reconnects() backoff.Policy {
	return backoff.Policy{Initial: 1250 * time.Millisecond, Max: 5 * time.Second, Multiplier: 1.5, Jitter: 0.2}
}

func newConnector(o *Options, purpose string, failed *sync.Map, outage *fault.Incident) *connector {
	c := &connector{o: o, purpose: purpose, failed: failed, outage: outage, dials: make([]time.Time, len(o.Hosts))}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// connect returns the connection, and makes one where there is none. It waits for a broker that is
// down as long as ctx lasts; that the broker refuses the client is told at once.
func (c *connector) connect(ctx context.Context) (*session, error) {
	for waited := false; ; waited = true {
		s, attempt, err := c.want(waited)
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-attempt:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.lost.Err != nil {
				return nil, fmt.Errorf("%w: %w", context.Cause(ctx), c.lost.Err)
			}
			return nil, context.Cause(ctx)
		}
	}
}

// want returns the connection, or the end of an attempt to wait for. Who has waited for one is told
// that it was hopeless, and so is everybody until the next one begins.
func (c *connector) want(waited bool) (*session, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, nil, &leat.Error{Op: "connect", Code: leat.CodeClosed, Err: errClosedConnection}
	case c.current != nil && !c.current.over():
		return c.current, nil, nil
	case (waited || c.attempt != nil && !c.rested) && c.lost.Err != nil && isHopeless(c.lost.Err):
		return nil, nil, c.lost.Err
	case c.attempt == nil:
		c.attempt, c.rested = make(chan struct{}), false
		c.wg.Go(c.try)
	}
	return nil, c.attempt, nil
}

// try makes one attempt.
func (c *connector) try() {
	host, pause := c.plan()
	s, err := c.dialAfter(pause, host)
	if err != nil && c.ctx.Err() == nil {
		c.failed.Store(host, time.Now())
		c.outage.Wrong("cannot connect to RabbitMQ", codeOf(err).String(), err, c.about(host)...)
	}
	if c.tried(host, s, err) {
		c.outage.Well("connected to RabbitMQ again", c.about(host)...)
	}
}

// tried notes the end of an attempt, and returns whether there is a connection.
func (c *connector) tried(host int, s *session, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.attempt)
	c.attempt = nil
	if err == nil && c.closed {
		s.link.kill()
		c.wg.Go(func() { <-s.gone })
		err = errClosedConnection
	}
	if err == nil {
		c.failures, c.dropped, c.hopeless, c.current, c.lost.Err = 0, 0, 0, s, nil
		c.wg.Go(func() { c.watch(s) })
		return true
	}
	c.failures++
	c.next = (host + 1) % len(c.o.Hosts)
	if c.hopeless++; !isHopeless(err) {
		c.hopeless = 0
	}
	if c.dropped++; !errors.Is(err, errDropped) {
		c.dropped = 0
	}
	switch {
	case c.dropped >= mostDropped:
		err = &leat.Error{Op: "connect", Code: leat.CodeUnauthenticated, Err: err}
	case c.hopeless > 0 && c.hopeless < len(c.o.Hosts): // another host may be well
		err = &leat.Error{Op: "connect", Code: leat.CodeUnavailable, Err: err}
	}
	c.lost.Set(err)
	return false
}

// about returns the attributes of a line about an attempt to connect.
func (c *connector) about(host int) []slog.Attr {
	return []slog.Attr{slog.String("host", c.o.Hosts[host]), slog.String("purpose", c.purpose)}
}

// mostDropped is how many logins in a row the broker may end without a word until that is taken for
// a refusal of the credentials.
const mostDropped = 3

func (c *connector) dialAfter(pause time.Duration, host int) (*session, error) {
	if !lifecycle.Sleep(c.ctx, pause) {
		return nil, c.ctx.Err()
	}
	c.mu.Lock()
	c.rested = true
	c.mu.Unlock()
	return c.o.dial(c.ctx, c.o.Hosts[host], c.purpose)
}

// plan returns the host to try, and how long to wait before that.
func (c *connector) plan() (host int, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	host = c.next
	if rounds := c.failures / len(c.o.Hosts); c.failures%len(c.o.Hosts) == 0 && rounds > 0 {
		pause = reconnects().Delay(rounds, nil)
	}
	at, _ := c.failed.Load(host)
	failed, _ := at.(time.Time) // zero where it has not
	pause = max(pause, time.Until(c.dials[host].Add(dialPause)), time.Until(failed.Add(dialPause)))
	c.dials[host] = time.Now().Add(max(pause, 0))
	return host, pause
}

// watch notes the end of a connection.
func (c *connector) watch(s *session) {
	<-s.gone
	c.mu.Lock()
	lost := c.current == s && !c.closed
	if c.current == s {
		c.current = nil
	}
	if lost {
		c.lost.Set(s.err)
		c.next = (c.next + 1) % len(c.o.Hosts)
	}
	c.mu.Unlock()
	if lost {
		c.outage.Wrong("the connection to RabbitMQ is lost", "lost", s.err, slog.String("purpose", c.purpose))
		if c.connected() { // the next one was made meanwhile, and said so before
			c.outage.Well("connected to RabbitMQ again", slog.String("purpose", c.purpose))
		}
	}
	s.await() // those who asked for something are told by the end of the connection
}

// health returns what is wrong with the connection, nil also where nobody needed one yet.
func (c *connector) health() error {
	c.mu.Lock()
	s, lost := c.current, c.lost
	c.mu.Unlock()
	if s != nil {
		if b := s.blocking(); b != nil {
			return fault.Health("", leat.CodeUnavailable, b.since,
				fmt.Errorf("the broker has blocked the connection to %s: %s", c.purpose, b.reason))
		}
		return nil
	}
	if lost.Err != nil {
		return fault.Health("", codeOf(lost.Err), lost.Since, fmt.Errorf("no connection to %s: %w", c.purpose, lost.Err))
	}
	return nil
}

// close ends the connection, at the latest by the deadline.
func (c *connector) close(deadline time.Time) {
	c.mu.Lock()
	c.closed = true
	s := c.current
	c.mu.Unlock()
	c.cancel()
	if s != nil {
		s.close(deadline)
	}
	c.wg.Wait()
}

// request calls f with a channel, on the connection to consume, which an alarm of the broker does
// not block. f is called again when the connection is lost.
func (b *Broker) request(ctx context.Context, f func(ch *amqp.Channel) error) error {
	return again(ctx, func() error {
		s, err := b.consuming.connect(ctx)
		if err != nil {
			return err
		}
		return s.do(ctx, func(ch *amqp.Channel) error {
			err := f(ch)
			_ = ch.Close()
			return err
		})
	})
}

// again repeats what fails because its connection is lost, as long as ctx lasts.
func again(ctx context.Context, f func() error) error {
	for {
		if err := f(); err == nil || !errors.Is(err, errLost) || ctx.Err() != nil {
			return err
		}
	}
}

// closeConnections ends both connections, by the end of the CloseTimeout.
func (b *Broker) closeConnections() {
	deadline := time.Now().Add(b.o.CloseTimeout / 10)
	var wg sync.WaitGroup
	wg.Go(func() { b.publishing.close(deadline) })
	wg.Go(func() { b.consuming.close(deadline) })
	wg.Wait()
	b.publisher.wg.Wait()
}

// connected reports whether there is a connection.
func (c *connector) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current != nil && !c.current.over()
}
