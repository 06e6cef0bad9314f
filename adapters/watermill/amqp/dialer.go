package amqp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/leatgo/leat"
	native "github.com/rabbitmq/amqp091-go"
)

// dialer makes the connections of one ConnectionWrapper of watermill-amqp, which goes on to connect when it is closed during an outage, and
// leaves what it gets open.
type dialer struct {
	mu     sync.Mutex
	closed bool
	last   net.Conn
	made   time.Time // when last was
}

type dial = func(network, address string) (net.Conn, error)

// around returns how to connect: as inner does, if that is not nil, until close.
func (d *dialer) around(inner dial) dial {
	if inner == nil {
		inner = native.DefaultDial(dialTimeout)
	}
	return func(network, address string) (net.Conn, error) {
		d.mu.Lock()
		closed := d.closed
		d.mu.Unlock()
		if closed {
			return nil, errors.New("the broker over Watermill is closed")
		}
		conn, err := inner(network, address)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closed {
			return nil, errors.Join(errors.New("the broker over Watermill is closed"), conn.Close())
		}
		d.last, d.made = conn, time.Now()
		return conn, nil
	}
}

// refuse lets no connection be made any more.
func (d *dialer) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// failed makes the error of a connection that could not be made, and ends what may be left of it.
func (d *dialer) failed(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close()
	}
	code := codeOf(err)
	if errors.Is(err, native.ErrCredentials) && time.Since(d.made) < silentClose {
		code = leat.CodeUnavailable
		err = fmt.Errorf("the broker ended the connection during the login: %w", err)
	}
	return &leat.Error{Op: "connect", Code: code, Err: err}
}

// silentClose is less than what RabbitMQ waits before it ends a connection whose credentials it refuses, without a word. A broker that is
// killed during the login does not wait.
const silentClose = 2 * time.Second

// close ends the connection that may be left.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.last != nil {
		_ = d.last.Close() // it is closed already, unless it was left
	}
}
