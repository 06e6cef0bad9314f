package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/internal/rabbit"
	native "github.com/rabbitmq/amqp091-go"
)

// dialer makes the connections of one ConnectionWrapper of watermill-amqp, which goes on to connect
// when it is closed during an outage, and leaves what it gets open.
type dialer struct {
	ctx    context.Context    // ends when no connection is to be made any more
	refuse context.CancelFunc // ends it

	mu    sync.Mutex
	begun time.Time // the last dial, or the next
	last  net.Conn
	made  time.Time // when last was
}

func newDialer() *dialer {
	d := &dialer{}
	d.ctx, d.refuse = context.WithCancel(context.Background())
	return d
}

// dialPause is how long after one dial the next begins at the earliest. watermill-amqp waits only
// where a connection cannot be made, and not where it is made and lost.
const dialPause = time.Second

var errOver = errors.New("the broker over Watermill is closed")

type dial = func(network, address string) (net.Conn, error)

// around returns how to connect: as inner does, if that is not nil, until close.
func (d *dialer) around(inner dial) dial {
	if inner == nil {
		inner = native.DefaultDial(dialTimeout)
	}
	return func(network, address string) (net.Conn, error) {
		d.mu.Lock()
		wait := max(0, time.Until(d.begun.Add(dialPause)))
		d.begun = time.Now().Add(wait)
		d.mu.Unlock()
		if !lifecycle.Sleep(d.ctx, wait) {
			return nil, errOver
		}
		conn, err := inner(network, address)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.ctx.Err() != nil {
			return nil, errors.Join(errOver, conn.Close())
		}
		d.last, d.made = conn, time.Now()
		return conn, nil
	}
}

// failed makes the error of a connection that could not be made, and ends what may be left of it.
func (d *dialer) failed(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close()
	}
	err = discreet(err)
	code := codeOf(err)
	if errors.Is(err, native.ErrCredentials) && time.Since(d.made) < rabbit.SilentClose {
		code = leat.CodeUnavailable
		err = fmt.Errorf("the broker ended the connection during the login: %w", err)
	}
	return &leat.Error{Op: "connect", Code: code, Err: err}
}

// close lets no connection be made any more, and ends the one that may be left.
func (d *dialer) close() {
	d.refuse()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close() // it is closed already, unless it was left
	}
}
