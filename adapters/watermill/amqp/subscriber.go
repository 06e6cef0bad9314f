package amqp

import (
	"context"
	"errors"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	native "github.com/rabbitmq/amqp091-go"
)

// subscriber is the Subscriber of a group: a connection, and a Subscriber of watermill-amqp for each subscription.
type subscriber struct {
	config wmamqp.Config
	logger wm.LoggerAdapter
	dialer *dialer
	delay  time.Duration
	grace  time.Duration   // how long the broker may take to close channels and the connection
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	connecting chan struct{} // holds a token while nobody connects

	mu    sync.Mutex
	conn  *wmamqp.ConnectionWrapper // nil before it is needed
	feeds sync.WaitGroup
}

var _ message.SubscribeInitializer = (*subscriber)(nil)

func newSubscriber(o *Options, group string) (*subscriber, error) {
	s := &subscriber{
		connecting: make(chan struct{}, 1), dialer: newDialer(), logger: wm.NewSlogLogger(o.Logger),
		delay: o.NackDelay, grace: o.closeGrace(),
	}
	s.connecting <- struct{}{}
	var err error
	if s.config, err = o.config(group, s.dialer); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// connect returns the connection. The first that needs it makes it, while the others wait.
func (s *subscriber) connect() (*wmamqp.ConnectionWrapper, error) {
	select {
	case <-s.connecting:
		defer func() { s.connecting <- struct{}{} }()
	case <-s.ctx.Done():
		return nil, errClosed
	}
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	conn, err := wmamqp.NewConnection(s.config.Connection, s.logger)
	if err != nil {
		return nil, s.dialer.failed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, errors.Join(errClosed, conn.Close())
	}
	s.conn = conn
	return conn, nil
}

var errClosed error = &leat.Error{Op: "connect", Code: leat.CodeClosed, Err: errors.New("the Subscriber is closed")}

// failed makes the error of a declaration.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &leat.Error{Op: "declare", Code: codeOf(err), Err: discreet(err)}
}

// prepare returns the connection, unless the names of a topic cannot be sent over it.
func (s *subscriber) prepare(topic string) (*wmamqp.ConnectionWrapper, error) {
	if err := checkNames(&s.config, topic); err != nil {
		return nil, &leat.Error{Op: "declare", Code: leat.CodeInvalid, Err: err}
	}
	return s.connect()
}

// SubscribeInitialize declares the queue of the group and the exchange.
func (s *subscriber) SubscribeInitialize(topic string) error {
	conn, err := s.prepare(topic)
	if err != nil {
		return err
	}
	inner, err := wmamqp.NewSubscriberWithConnection(s.config, s.logger, conn)
	if err != nil {
		return err
	}
	return failed(errors.Join(inner.SubscribeInitialize(topic), inner.Close()))
}

// Subscribe returns a channel that is closed when ctx ends, and when the broker has taken away what was not acked.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	conn, err := s.prepare(topic)
	if err != nil {
		return nil, err
	}
	f := &feed{s: s, out: make(chan *message.Message), lost: make(chan struct{})}
	c := s.config
	c.Marshaler = f
	if f.inner, err = wmamqp.NewSubscriberWithConnection(c, s.logger, conn); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		return nil, errClosed
	}
	s.feeds.Add(1)
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	ended := conn.Connection().NotifyClose(make(chan *native.Error, 1)) // the channel is not known before the first delivery
	messages, err := f.inner.Subscribe(ctx, topic)
	if err != nil {
		cancel()
		s.feeds.Done()
		return nil, failed(err)
	}
	stop := context.AfterFunc(s.ctx, cancel)
	go func() {
		defer s.feeds.Done()
		defer stop()
		f.run(ctx, cancel, messages, ended)
	}()
	return f.out, nil
}

// Close ends the subscriptions, whose messages go back, and the connection.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.dialer.refuse()
	end := time.AfterFunc(s.grace, s.dialer.close) // without the broker's answers when they take long
	defer end.Stop()
	s.feeds.Wait()
	var err error
	if s.conn != nil { // nobody sets it any more
		err = s.conn.Close()
	}
	s.dialer.close()
	return err
}

// feed is a subscription. It is also the Marshaler of its Subscriber of watermill-amqp, from which it learns what channel that has.
type feed struct {
	Marshaler

	s       *subscriber
	inner   *wmamqp.Subscriber
	out     chan *message.Message
	channel *native.Channel // used by the goroutine of inner only
	once    sync.Once
	lost    chan struct{} // closed when the channel was, or the consumer canceled
}

var _ wmamqp.Marshaler = (*feed)(nil)

// Unmarshal returns the message of a delivery. A delivery that came from nowhere is what watermill-amqp reads when the broker has canceled
// the consumer.
func (f *feed) Unmarshal(d native.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		f.lose()
		return nil, errors.New("the broker has canceled the consumer")
	}
	if ch, ok := d.Acknowledger.(*native.Channel); ok && ch != f.channel {
		f.channel = ch
		closed, canceled := ch.NotifyClose(make(chan *native.Error, 1)), ch.NotifyCancel(make(chan string, 1))
		go func() {
			select {
			case <-closed: //nolint:errcheck // watermill-amqp logs it
			case <-canceled: // which watermill-amqp does not see while a message is held
			}
			f.lose()
		}()
	}
	return f.Marshaler.Unmarshal(d)
}

func (f *feed) lose() { f.once.Do(func() { close(f.lost) }) }

// run hands messages on until ctx ends, or the channel or the connection is lost.
func (f *feed) run(ctx context.Context, end context.CancelFunc, messages <-chan *message.Message, ended <-chan *native.Error) {
	go func() {
		select {
		case <-ended: //nolint:errcheck // likewise
			f.lose()
		case <-ctx.Done():
		}
	}()
	defer func() { // after out was closed
		end()
		for m := range messages {
			m.Nack()
		}
		_ = f.inner.Close() // the error is always nil
	}()
	defer close(f.out)
	for {
		select {
		case m, ok := <-messages:
			if !ok || !f.hand(ctx, m) {
				return
			}
		case <-f.lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hand hands a message on and waits for its outcome. It reports whether there may be more.
func (f *feed) hand(ctx context.Context, m *message.Message) bool {
	delete(m.Metadata, wmamqp.MetadataRedeliveredKey) // it says something of the delivery, and an event is always the same
	own := message.NewMessage(m.UUID, m.Payload)
	own.Metadata = m.Metadata
	own.SetContext(m.Context()) // it ends when the ack was sent
	defer m.Nack()              // without effect after an ack
	select {
	case f.out <- own:
	case <-f.lost:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-own.Acked():
		return m.Ack()
	case <-own.Nacked():
	case <-f.lost:
		return false
	case <-f.s.ctx.Done():
		return false
	}
	timer := time.NewTimer(f.s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.lost:
	case <-ctx.Done():
	}
	return true
}
