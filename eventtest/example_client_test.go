package eventtest_test

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// This is the client library of the example's broker. Its protocol is net/rpc.

// Message is what the broker carries.
type Message struct {
	Topic, Key string
	Headers    []Header
	Body       []byte
}

// Header is one header of a message.
type Header struct{ Name, Value string }

func (m *Message) size() int {
	n := len(m.Key) + len(m.Body)
	for _, h := range m.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// Declaration creates a topic and a queue, unless they are there. Names have up to 60 letters,
// digits, '-' and '_'.
type Declaration struct {
	Topic, Queue, Label string
	Temporary           bool // the queue goes when its consumer leaves
	Open                bool // by a consumer, who alone creates temporary queues, and no others
}

// PullRequest asks for messages, for no more than Wait.
type PullRequest struct {
	Queue         string
	Ticket        uint64   // of this request; the client fills it in
	Epoch         uint64   // under which the consumer has the queue; 0 while it does not
	Held          []uint64 // the receipts that it has; other messages that were lent to it are lost
	Events, Bytes int      // how many it wants; a single one may be larger if it has none
	Wait          time.Duration

	seen bool // for the broker
}

// PullAnswer is its answer. Where the Epoch is not that of the request, all that was lent under the
// old one is lost.
type PullAnswer struct {
	Epoch    uint64
	Messages []Lent
}

// Lent is a message that the broker lends.
type Lent struct {
	ID         uint64 // of the message in its queue
	Receipt    uint64 // of this delivery
	Deliveries int
	Message    Message
}

// SettleRequest acks or extends messages, or gives them back.
type SettleRequest struct {
	Queue       string
	Ack, Extend bool
	Receipts    []uint64
}

// Leaving is the end of a consumer.
type Leaving struct {
	Queue string
	Epoch uint64
}

// StatAnswer is what the broker knows of a queue.
type StatAnswer struct {
	Messages, Held int64
	Oldest         time.Duration
}

// Errors of the broker.
const (
	errNoTopic    = rpc.ServerError("there is no such topic")
	errNoQueue    = rpc.ServerError("there is no such queue")
	errOtherLabel = rpc.ServerError("the queue has another label")
)

var (
	errLost     = errors.New("the connection is lost")
	errNoAnswer = errors.New("the broker does not answer")
	errClosed   = errors.New("the client is closed")
)

// client keeps a connection to one of several hosts. It dials again, at most once a second, when it
// has lost the connection, or a call has no answer for a time.
type client struct {
	hosts   []string
	timeout time.Duration
	ctx     context.Context
	close   func()
	tickets atomic.Uint64

	mu      sync.Mutex
	conn    *connection   // nil while there is none
	changed chan struct{} // closed when conn changes
	wrong   error         // nil since the broker has answered
	since   time.Time
}

// connection is one connection of a client.
type connection struct {
	*rpc.Client

	lost  context.Context // ends with the connection
	calls lifecycle.Tasks
}

// newClient returns a client. Call its close, which waits for everything that the client began.
func newClient(hosts []string, timeout time.Duration) *client {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &client{hosts: hosts, timeout: timeout, ctx: ctx, changed: make(chan struct{})}
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.run()
	}()
	c.close = func() {
		cancel(errClosed)
		<-over
	}
	return c
}

func (c *client) run() {
	for i := 0; c.ctx.Err() == nil; i++ {
		pace := time.NewTimer(time.Second)
		c.note(c.connect(c.hosts[i%len(c.hosts)]))
		select {
		case <-pace.C:
		case <-c.ctx.Done():
			pace.Stop()
		}
	}
}

// connect keeps a connection until it is lost.
func (c *client) connect(host string) error {
	tcp, err := (&net.Dialer{Timeout: c.timeout}).DialContext(c.ctx, "tcp", host)
	if err != nil {
		return err
	}
	lost, cancel := context.WithCancelCause(c.ctx)
	conn := &connection{lost: lost, Client: rpc.NewClient(noticed{tcp, func() { cancel(errLost) }})}
	defer conn.calls.Wait()
	defer conn.Close() //nolint:errcheck // it is over
	if err := c.callOn(lost, conn, "Ping", struct{}{}, &struct{}{}, 0); err != nil {
		return err
	}
	c.set(conn)
	defer c.set(nil)
	<-lost.Done()
	return context.Cause(lost)
}

func (c *client) set(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong == nil {
		c.since = time.Now()
	}
	c.wrong = err
}

// trouble returns what is wrong with the connection, and since when.
func (c *client) trouble() (since time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.wrong
}

// ready waits for a connection.
func (c *client) ready(ctx context.Context) (*connection, error) {
	for {
		c.mu.Lock()
		conn, changed := c.conn, c.changed
		c.mu.Unlock()
		if conn != nil && conn.lost.Err() == nil {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.ctx.Done():
			return nil, errClosed
		}
	}
}

// publish publishes messages, and returns an error for each. What is neither nil nor an
// [rpc.ServerError] leaves open whether the message is stored.
func (c *client) publish(conn *connection, messages []Message) []error {
	var found []bool
	errs := make([]error, len(messages))
	err := c.callOn(context.Background(), conn, "Publish", messages, &found, 0)
	for i := range errs {
		if errs[i] = err; err == nil && !found[i] {
			errs[i] = errNoTopic
		}
	}
	return errs
}

// call calls a method of the broker, for which it waits for a connection. An error that is not an
// [rpc.ServerError] leaves open what became of the call, and the answer must not be looked at.
func (c *client) call(ctx context.Context, method string, request, answer any) error {
	ready, cancel := context.WithTimeoutCause(ctx, 4*c.timeout, errNoAnswer)
	defer cancel()
	conn, err := c.ready(ready)
	if err != nil {
		return err
	}
	return c.callOn(ctx, conn, method, request, answer, 0)
}

// callOn calls a method that takes up to wait by itself.
func (c *client) callOn(
	ctx context.Context, conn *connection, method string, request, answer any, wait time.Duration,
) error {
	over := make(chan error, 1)
	conn.calls.Go(func() { over <- conn.Call("Broker."+method, request, answer) })
	timer := time.NewTimer(c.timeout + wait)
	defer timer.Stop()
	var err error
	select {
	case err = <-over:
		if answered := errors.As(err, new(rpc.ServerError)); err == nil || answered {
			c.note(nil)
			return err
		}
	case <-timer.C:
		err = errNoAnswer
	case <-conn.lost.Done():
		err = context.Cause(conn.lost)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.note(err)
	_ = conn.Close()
	return err
}

// pull is a Pull. When stop is closed, the broker answers at once.
func (c *client) pull(
	ctx context.Context, p *PullRequest, stop <-chan struct{},
) (*PullAnswer, error) {
	conn, err := c.ready(ctx)
	if err != nil {
		return nil, err
	}
	p.Ticket = c.tickets.Add(1)
	answer, over := &PullAnswer{}, make(chan error, 1)
	conn.calls.Go(func() { over <- c.callOn(ctx, conn, "Pull", p, answer, p.Wait) })
	for {
		select {
		case err := <-over:
			return answer, err
		case <-stop:
			stop = nil
			conn.calls.Go(func() { _ = c.callOn(ctx, conn, "Stop", p.Ticket, &struct{}{}, 0) })
		}
	}
}
