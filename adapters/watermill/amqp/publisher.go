package amqp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	native "github.com/rabbitmq/amqp091-go"
)

const (
	longestWait = 10 * time.Second // for a connection
	pause       = 50 * time.Millisecond
)

// publisher publishes over the connection, configuration and topology of watermill-amqp, by
// channels of its own, the outlets. Each has one message on its way, so a message that was returned
// is the one that was sent last. The Publisher of watermill-amqp cannot be used: its pool opens
// channels whose returned messages nobody reads, loses the place of a channel that has failed, so
// that a later publish blocks for ever, and panics where it could not open one again.
type publisher struct {
	connection

	wait   time.Duration // for a connection
	drain  time.Duration // how long publishes may go on when the Broker closes
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
		wait: min(longestWait, o.DeliveryTimeout/2), drain: o.CloseTimeout / 2,
		free: make(chan *outlet, o.Channels), closed: make(chan struct{}), ending: make(chan struct{}),
	}
	var err error
	if p.connection, err = newConnection(o, ""); err != nil {
		return nil, err
	}
	if p.conn, err = p.dial(); err != nil {
		return nil, err
	}
	for range o.Channels {
		p.free <- &outlet{p: p}
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

// closing is called when the Broker begins to close: no publish waits for a connection any more,
// and one that the broker does not answer, as it does not while it is out of memory, ends with the
// connection.
func (p *publisher) closing() {
	p.hurry.Do(func() {
		close(p.ending)
		p.last = time.AfterFunc(p.drain, p.dialer.close)
	})
}

// Close waits for calls of Publish and ends the connection: without the broker's answers when they
// take long.
func (p *publisher) Close() (err error) {
	p.once.Do(func() {
		p.closing()
		defer p.last.Stop()
		close(p.closed)
		err = p.close(func() {
			for range cap(p.free) {
				(<-p.free).drop()
			}
		})
	})
	return err
}

// outlet is a channel, used by one goroutine at a time.
type outlet struct {
	p        *publisher
	conn     *native.Connection // of channel
	channel  *native.Channel    // nil before it is needed, and after an error
	returned chan native.Return
	ended    chan *native.Error
	declared map[string]bool // exchanges, by name
}

// publish publishes a message. While there is no connection, it waits for one, unless the message's
// context ends.
func (t *outlet) publish(topic string, m *message.Message) error {
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
func (t *outlet) attempt(topic string, m *message.Message) error {
	if t.channel != nil && t.channel.IsClosed() { // while nothing was published
		t.drop()
	}
	if err := t.open(); err != nil {
		return &refusal{leat.CodeUnavailable, err}
	}
	out, err := marshal(m, t.conn.Config.FrameSize)
	if err != nil {
		return &refusal{leat.CodeOf(err), err}
	}
	exchange := t.p.config.Exchange.GenerateName(topic)
	if err := t.declare(exchange); err != nil {
		t.drop()
		return &refusal{codeOf(err), discreet(err)}
	}
	err = t.send(exchange, t.p.config.Publish.GenerateRoutingKey(topic), out)
	if err != nil {
		t.drop()
		return err
	}
	select {
	case r, ok := <-t.returned: // comes before the confirm
		if ok {
			return &refusal{leat.CodeNotFound, fmt.Errorf("no queue takes it, the broker says %s; declare a group first, or set AllowUnroutable",
				r.ReplyText)}
		}
	default:
	}
	return nil
}

// open opens the channel, if there is none.
func (t *outlet) open() (err error) {
	if t.channel != nil {
		return nil
	}
	if t.conn, t.channel, err = channel(t.p.conn); err != nil {
		t.channel = nil
		return err
	}
	if err = t.channel.Confirm(false); err != nil {
		t.drop()
		return err
	}
	t.declared, t.returned = map[string]bool{}, t.channel.NotifyReturn(make(chan native.Return, 1))
	t.ended = t.channel.NotifyClose(make(chan *native.Error, 1))
	return nil
}

// declare declares an exchange that is new to the channel.
func (t *outlet) declare(exchange string) error {
	if exchange == "" || t.declared[exchange] {
		return nil
	}
	err := t.p.config.TopologyBuilder.ExchangeDeclare(t.channel, exchange, t.p.config)
	t.declared[exchange] = err == nil
	return err
}

// send sends a message and waits for its confirm.
func (t *outlet) send(exchange, key string, out native.Publishing) error {
	answer, err := t.channel.PublishWithDeferredConfirm(exchange, key, t.p.config.Publish.Mandatory, false, out)
	if err == nil && answer.Wait() {
		return nil
	}
	select {
	case e := <-t.ended:
		if e != nil && e.Server && (e.Code == native.NotFound || e.Code == native.AccessRefused) { // it was the only one of the channel
			return &refusal{codeOf(e), fmt.Errorf("the broker does not take it: %w", discreet(e))}
		}
	default:
	}
	if _, broken := errors.AsType[*net.OpError](err); broken {
		_ = t.conn.Close() // at once, so that nobody else tries to write to it
	}
	if err == nil {
		err = errors.New("the broker did not confirm the message")
	}
	return err
}

// drop closes the channel.
func (t *outlet) drop() {
	if t.channel != nil {
		_ = t.channel.Close() // what is wrong with it is known
		t.channel = nil
	}
}
