package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatgo/leat/adapterkit/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// session is a connection, for as long as it lasts.
type session struct {
	conn *amqp.Connection
	link *link
	gone chan struct{} // closed when it is over
	err  error         // why it is over; to be read when gone is closed

	patience time.Duration  // how long an answer to a request may take
	alarm    fault.Incident // that the broker does not take publishes

	mu      sync.Mutex
	blocked *amqpBlock     // the broker does not take publishes; nil while it does
	closing bool           // no request begins any more
	late    int            // requests under way for longer than patience
	wg      sync.WaitGroup // requests under way
}

// amqpBlock is a connection.blocked.
type amqpBlock struct {
	reason string
	since  time.Time
	over   chan struct{}
}

// blockings is how many changes of connection.blocked may wait to be looked at. The client would
// wait for room.
const blockings = 16

func newSession(c *amqp.Connection, l *link, o *Options) *session {
	s := &session{
		conn: c, link: l, gone: make(chan struct{}), patience: o.RequestTimeout, alarm: fault.Incident{Logger: o.Logger},
	}
	closes, blocks := c.NotifyClose(make(chan *amqp.Error, 1)), c.NotifyBlocked(make(chan amqp.Blocking, blockings))
	go s.watch(closes, blocks)
	return s
}

// watch notes what becomes of the connection.
func (s *session) watch(closes <-chan *amqp.Error, blocks <-chan amqp.Blocking) {
	for {
		select {
		case b, ok := <-blocks:
			if !ok {
				blocks = nil
				continue
			}
			s.block(b)
			s.logBlock(b)
		case err := <-closes:
			s.err = errClosedConnection
			if err != nil {
				s.err = discreetAMQP(err)
			}
			s.block(amqp.Blocking{})
			close(s.gone)
			return
		}
	}
}

// errClosedConnection is the end of a connection that was not the broker's.
var errClosedConnection = errors.New("the connection is closed")

func (s *session) block(b amqp.Blocking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b.Active && s.blocked == nil:
		s.blocked = &amqpBlock{reason: b.Reason, since: time.Now(), over: make(chan struct{})}
	case !b.Active && s.blocked != nil:
		close(s.blocked.over)
		s.blocked = nil
	}
}

func (s *session) logBlock(b amqp.Blocking) {
	if b.Active {
		s.alarm.Wrong("RabbitMQ takes no publishes for now; they wait", "", errors.New(b.Reason))
		return
	}
	s.alarm.Well("RabbitMQ takes publishes again")
}

// blocking returns why the broker does not take publishes now, nil while it does.
func (s *session) blocking() *amqpBlock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

// unblocked waits until the broker takes publishes, or ctx ends.
func (s *session) unblocked(ctx context.Context) error {
	b := s.blocking()
	if b == nil {
		return nil
	}
	select {
	case <-b.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the broker has blocked the connection: %s", context.Cause(ctx), b.reason)
	}
}

func (s *session) over() bool {
	select {
	case <-s.gone:
		return true
	default:
		return s.conn.IsClosed()
	}
}

// mostLate is how many requests may be late. The broker may not answer what concerns one queue, and
// be well otherwise, so that a few are no reason to end the connection for all streams, each of
// which has one request under way at most; but each request has a goroutine and a channel, of which
// a connection has 2,047.
const mostLate = 256

// countLate counts requests that have no answer for too long, or have ended after all. When there
// are too many, the connection ends, and with it they do; but not in an alarm, in which nothing is
// answered.
func (s *session) countLate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late += n
	if n > 0 && s.late >= mostLate && s.blocked == nil {
		s.link.kill()
	}
}

// do calls f with a new channel, which f owns when it succeeds. Requests of the client cannot be
// interrupted: when ctx ends before f, do returns, and the channel is closed when f is done. What f
// leaves for the caller may be read only when do returns nil.
func (s *session) do(ctx context.Context, f func(ch *amqp.Channel) error) error {
	var ch *amqp.Channel
	return s.ask(ctx, func() (err error) {
		if ch, err = s.conn.Channel(); err == nil {
			err = f(ch)
		}
		return err
	}, func() {
		if ch != nil {
			_ = ch.Close()
		}
	})
}

// ask calls f, which makes requests, and returns when ctx ends before f. Then, and when f fails,
// undo is called after f, by the same goroutine.
func (s *session) ask(ctx context.Context, f func() error, undo func()) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return s.explain(errClosedConnection)
	}
	s.wg.Add(1)
	s.mu.Unlock()
	answer := make(chan error) // without a buffer: who sends it knows whether somebody took it
	go func() {
		defer s.wg.Done()
		late := time.AfterFunc(s.patience, func() { s.countLate(1) })
		defer func() {
			if !late.Stop() {
				s.countLate(-1)
			}
		}()
		err := f()
		taken := err == nil
		select {
		case answer <- err:
		case <-ctx.Done():
			taken = false
		}
		if !taken {
			undo()
		}
	}()
	select {
	case err := <-answer:
		return s.explain(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errLost is wrapped by the error of a request that failed because its connection was lost.
var errLost = errors.New("the connection was lost")

func (s *session) explain(err error) error {
	err = discreet(err)
	if err != nil && s.over() {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// close ends the connection, in order where the broker answers by the deadline.
func (s *session) close(deadline time.Time) {
	timer := time.AfterFunc(time.Until(deadline), s.link.kill)
	defer timer.Stop()
	_ = s.conn.CloseDeadline(deadline)
	<-s.gone
	s.await()
}

// await lets no request begin any more on a connection that is over, and waits for the end of those
// that are under way.
func (s *session) await() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.wg.Wait()
}
