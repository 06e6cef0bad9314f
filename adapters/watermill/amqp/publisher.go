package amqp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	native "github.com/rabbitmq/amqp091-go"
)

const (
	longestWait = 10 * time.Second // for a connection
	pause       = 50 * time.Millisecond
)

// publisher is a Publisher of several of watermill-amqp, the outlets, each with one channel of the connection that they share. So a message
// that was returned is known to be the one that was sent last, and whatever watermill-amqp keeps of a channel that failed, its place in the
// pool and the exchanges that it believes to exist, can be thrown away.
type publisher struct {
	config wmamqp.Config
	logger wm.LoggerAdapter
	conn   *wmamqp.ConnectionWrapper
	dialer *dialer
	wait   time.Duration // for a connection
	drain  time.Duration // how long publishes may go on when the Broker closes
	grace  time.Duration // how long the broker may take to close channels and the connection
	free   chan *outlet
	once   sync.Once
	closed chan struct{}
	hurry  sync.Once
	ending chan struct{} // closed when nothing waits for a connection any more
	last   *time.Timer   // after drain
}

var _ message.Publisher = (*publisher)(nil)

func newPublisher(o *Options) (*publisher, error) {
	p := &publisher{
		dialer: newDialer(), logger: wm.NewSlogLogger(o.Logger), wait: min(longestWait, o.DeliveryTimeout/2),
		drain: o.CloseTimeout / 2, grace: o.closeGrace(),
		free: make(chan *outlet, o.Channels), closed: make(chan struct{}), ending: make(chan struct{}),
	}
	var err error
	if p.config, err = o.config("", p.dialer); err != nil {
		return nil, err
	}
	if p.conn, err = wmamqp.NewConnection(p.config.Connection, p.logger); err != nil {
		return nil, p.dialer.failed(err)
	}
	for range o.Channels {
		p.free <- &outlet{p: p, TopologyBuilder: p.config.TopologyBuilder}
	}
	return p, nil
}

// Publish publishes messages one after the other, each when the one before was confirmed.
func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	var t *outlet
	select {
	case t = <-p.free:
	case <-p.closed:
		return &refusal{leat.CodeClosed, errors.New("the Publisher is closed")}
	case <-messages[0].Context().Done():
		return &refusal{leat.CodeCanceled, errors.New("no channel was free")}
	}
	defer func() { p.free <- t }()
	for _, m := range messages {
		if err := t.publish(topic, m); err != nil {
			return err
		}
	}
	return nil
}

// closing is called when the Broker begins to close: no publish waits for a connection any more, and one that the broker does not
// answer, as it does not while it is out of memory, ends with the connection.
func (p *publisher) closing() {
	p.hurry.Do(func() {
		close(p.ending)
		p.last = time.AfterFunc(p.drain, p.dialer.close)
	})
}

// Close waits for calls of Publish and ends the connection: without the broker's answers when they take long.
func (p *publisher) Close() (err error) {
	p.once.Do(func() {
		p.closing()
		defer p.last.Stop()
		close(p.closed)
		p.dialer.refuse()
		end := time.AfterFunc(p.grace, p.dialer.close)
		defer end.Stop()
		for range cap(p.free) {
			(<-p.free).drop()
		}
		err = p.conn.Close()
		p.dialer.close()
	})
	return err
}

// outlet is a Publisher of watermill-amqp with one channel. It is also its Marshaler and its TopologyBuilder, to be told of what that does.
// It is used by one goroutine at a time.
type outlet struct {
	Marshaler
	wmamqp.TopologyBuilder

	p        *publisher
	inner    *wmamqp.Publisher  // nil before it is needed, and after an error
	conn     *native.Connection // of inner
	channel  *native.Channel    // of inner, once it has declared an exchange
	returned chan native.Return // of channel
	ended    chan *native.Error // likewise
	next     native.Publishing
	begun    bool // next was handed out
}

var (
	_ wmamqp.Marshaler       = (*outlet)(nil)
	_ wmamqp.TopologyBuilder = (*outlet)(nil)
)

// publish publishes a message. While there is no connection, it waits for one, unless the message's context ends.
func (t *outlet) publish(topic string, m *message.Message) error {
	if t.p.config.Publish.Mandatory && t.p.config.Exchange.GenerateName(topic) == "" {
		return &refusal{leat.CodeUnsupported, errors.New("with RabbitMQ's default exchange, which Configure has chosen, " +
			"watermill-amqp does not tell what no queue takes; set AllowUnroutable")}
	}
	if err := checkNames(&t.p.config, topic); err != nil {
		return &refusal{leat.CodeInvalid, err}
	}
	deadline := time.Now().Add(t.p.wait)
	for {
		err := t.attempt(topic, m)
		if refused(err) != leat.CodeUnavailable || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-t.p.ending:
			return err
		case <-m.Context().Done(): // it is withdrawn
			return err
		}
	}
}

// attempt publishes a message if there is a connection.
func (t *outlet) attempt(topic string, m *message.Message) (err error) {
	t.begun = false
	if t.lost() { // while nothing was published
		t.drop()
	}
	if err := t.open(); err != nil {
		return &refusal{leat.CodeUnavailable, err}
	}
	var large error
	if t.next, large = marshal(m, t.p.conn.Connection().Config.FrameSize); large != nil {
		return &refusal{leat.CodeOf(large), large}
	}
	sound := false
	defer func() {
		if !sound {
			t.drop()
		}
	}()
	err = t.send(topic, m)
	select {
	case r, ok := <-t.returned: // comes before the confirm
		if ok {
			sound = err == nil
			return &refusal{leat.CodeNotFound, fmt.Errorf("no queue takes it, the broker says %s; declare a group first, or set AllowUnroutable",
				r.ReplyText)}
		}
	default:
	}
	if sound = err == nil; !sound && !t.begun {
		return &refusal{codeOf(err), discreet(err)}
	}
	if e := t.end(); err != nil && e != nil && e.Server && (e.Code == native.NotFound || e.Code == native.AccessRefused) {
		return &refusal{codeOf(e), fmt.Errorf("the broker does not take it: %w", discreet(e))} // it was the only one of the channel
	}
	if _, broken := errors.AsType[*net.OpError](err); broken {
		_ = t.conn.Close() // at once, so that nobody else tries to write to it
	}
	return err
}

// send calls the Publisher of watermill-amqp, which panics where a channel was closed at the wrong moment.
func (t *outlet) send(topic string, m *message.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("watermill-amqp panicked: %T", v)
		}
	}()
	return t.inner.Publish(topic, m)
}

// lost reports whether the channel of the Publisher of watermill-amqp was closed. It would open another one by itself, and nobody would
// know of that: exchanges are not declared again, and what is returned is not seen.
func (t *outlet) lost() bool {
	return t.conn != nil && t.conn.IsClosed() || t.channel != nil && t.channel.IsClosed()
}

// end returns why the broker has ended the channel, or nil.
func (t *outlet) end() *native.Error {
	select {
	case e := <-t.ended:
		return e
	default:
		return nil
	}
}

// open makes the Publisher of watermill-amqp, if there is none.
func (t *outlet) open() (err error) {
	if t.inner != nil {
		return nil
	}
	if !t.p.conn.IsConnected() {
		return errors.New("there is no connection to the broker")
	}
	c := t.p.config
	c.Marshaler, c.TopologyBuilder = t, t
	t.conn = t.p.conn.Connection()
	t.inner, err = wmamqp.NewPublisherWithConnection(c, t.p.logger, t.p.conn)
	if err != nil {
		t.inner = nil
	}
	return err
}

// drop throws the Publisher of watermill-amqp away.
func (t *outlet) drop() {
	inner := t.inner
	t.inner, t.conn, t.channel, t.returned, t.ended, t.next = nil, nil, nil, nil, nil, native.Publishing{}
	if inner == nil {
		return
	}
	defer func() { _ = recover() }() // it panics where it could not open a channel again
	_ = inner.Close()                // it logs what goes wrong
}

// errLost is what was wrong before anything was sent.
var errLost = errors.New("the channel was lost")

// Marshal returns the message that is ready, unless the channel was closed: the last look at it before the message is sent.
func (t *outlet) Marshal(*message.Message) (native.Publishing, error) {
	if t.lost() {
		return native.Publishing{}, errLost
	}
	t.begun = true
	return t.next, nil
}

// ExchangeDeclare declares the exchange of a topic that is new to the channel, and asks that for what is returned.
func (t *outlet) ExchangeDeclare(ch *native.Channel, exchange string, c wmamqp.Config) error {
	if t.channel != ch {
		if t.channel != nil {
			return errLost // and it has another one
		}
		t.channel, t.returned, t.ended = ch, ch.NotifyReturn(make(chan native.Return, 1)), ch.NotifyClose(make(chan *native.Error, 1))
	}
	return t.TopologyBuilder.ExchangeDeclare(ch, exchange, c)
}
