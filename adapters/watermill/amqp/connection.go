package amqp

import (
	"errors"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	native "github.com/rabbitmq/amqp091-go"
)

// connection is what publishing has of watermill-amqp, and each group: a configuration and, once
// that is needed, a connection.
type connection struct {
	config wmamqp.Config
	logger wm.LoggerAdapter
	dialer *dialer
	grace  time.Duration             // how long the broker may take to close channels and the connection
	conn   *wmamqp.ConnectionWrapper // nil before it is needed
}

// newConnection does not connect. The error is an [*leat.Error].
func newConnection(o *Options, group string) (c connection, err error) {
	c = connection{logger: wm.NewSlogLogger(o.Logger), dialer: newDialer(), grace: o.closeGrace()}
	c.config, err = o.config(group, c.dialer)
	return c, err
}

// dial connects. The error is an [*leat.Error].
func (c *connection) dial() (*wmamqp.ConnectionWrapper, error) {
	conn, err := wmamqp.NewConnection(c.config.Connection, c.logger)
	if err != nil {
		return nil, c.dialer.failed(err)
	}
	return conn, nil
}

// channel opens a channel, if there is a connection.
func channel(conn *wmamqp.ConnectionWrapper) (*native.Connection, *native.Channel, error) {
	if !conn.IsConnected() {
		return nil, nil, errors.New("there is no connection to the broker")
	}
	own := conn.Connection()
	ch, err := own.Channel()
	return own, ch, err
}

// close ends the connection after wait has returned: without the broker's answers when they take
// long. Nobody connects any more.
func (c *connection) close(wait func()) (err error) {
	c.dialer.refuse()
	end := time.AfterFunc(c.grace, c.dialer.close)
	defer end.Stop()
	wait()
	if c.conn != nil {
		err = c.conn.Close()
	}
	c.dialer.close()
	return err
}
