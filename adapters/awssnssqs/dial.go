package awssnssqs

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// dialEvery is how often the adapter tries to connect while it cannot.
const dialEvery = time.Second

// dialer connects to SNS or to SQS, for all requests of a broker, one connection after the other.
// After one that cannot be made it makes one attempt a second.
type dialer struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	tasks *lifecycle.Tasks
	ctx   context.Context // ends with the broker
	end   context.CancelFunc
	turn  chan struct{} // holds a token while nobody dials

	mu               sync.Mutex
	network, address string    // of the last attempt
	err              error     // of the last attempt; nil while all is well
	last             time.Time // when it ended
}

func newDialer(timeout time.Duration, tasks *lifecycle.Tasks) *dialer {
	d := &dialer{
		dial: (&net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}).DialContext, tasks: tasks, turn: make(chan struct{}, 1),
	}
	d.turn <- struct{}{}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// DialContext connects. The HTTP client may call it in a goroutine of its own, which outlasts the
// request; Close ends and awaits it.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.tasks.Begin()
	defer d.tasks.End()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(d.ctx, cancel)
	defer stop()
	began := time.Now()
	select {
	case <-d.turn:
		defer func() { d.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := d.pace(ctx, began); err != nil {
		return nil, err
	}
	d.begin(network, address)
	c, err := d.dial(ctx, network, address)
	if err == nil || ctx.Err() == nil {
		d.note(err)
	}
	return c, err
}

// pace waits until the next attempt is due. It returns the error of one that somebody else has made
// since a moment.
func (d *dialer) pace(ctx context.Context, since time.Time) error {
	d.mu.Lock()
	err, last := d.err, d.last
	d.mu.Unlock()
	if err == nil || !last.After(since) && lifecycle.Sleep(ctx, time.Until(last.Add(dialEvery))) {
		return nil
	}
	return err
}

// begin notes an attempt.
func (d *dialer) begin(network, address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.network, d.address = network, address
}

// note notes what came of an attempt.
func (d *dialer) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.last = err, time.Now()
}

// overdue notes that a request has waited for an attempt until its time was over, by the error of
// its context. An attempt that failed says more, and a request that was canceled says nothing.
func (d *dialer) overdue(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil && errors.Is(err, context.DeadlineExceeded) {
		d.err = err
	}
}

// reachable waits until connections can be made, where they could not. It is for what must not
// begin before that. It returns the error of the next attempt, and nil where there was none yet.
func (d *dialer) reachable(ctx context.Context) error {
	d.mu.Lock()
	network, address, err := d.network, d.address, d.err
	d.mu.Unlock()
	if err == nil || address == "" {
		return nil
	}
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		_ = c.Close()
	}
	return err
}
