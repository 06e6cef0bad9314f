package amqp

import (
	"errors"
	"net"
	"sync"

	native "github.com/rabbitmq/amqp091-go"
)

// dialer makes the connections of one ConnectionWrapper of watermill-amqp, which goes on to connect when it is closed during an outage, and
// leaves what it gets open.
type dialer struct {
	mu     sync.Mutex
	closed bool
	last   net.Conn
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
		d.last = conn
		return conn, nil
	}
}

// refuse lets no connection be made any more.
func (d *dialer) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// close ends the connection that may be left.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.last != nil {
		_ = d.last.Close() // it is closed already, unless it was left
	}
}
