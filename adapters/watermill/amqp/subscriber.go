package amqp

import (
	"context"
	"errors"
	"sync"
	"time"

	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	native "github.com/rabbitmq/amqp091-go"
)

// subscriber is the Subscriber of a group: a connection of watermill-amqp, and a channel for each
// subscription. The Subscriber of watermill-amqp cannot be used: it does not tell that a channel
// was lost, and hands out an empty message when the broker has canceled the consumer.
type subscriber struct {
	connection

	delay  time.Duration
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	connecting sync.Mutex

	mu    sync.Mutex // guards conn, and cancel is called under it
	feeds sync.WaitGroup
}

var _ message.SubscribeInitializer = (*subscriber)(nil)

func newSubscriber(o *Options, group string) (*subscriber, error) {
	s := &subscriber{delay: o.NackDelay}
	var err error
	if s.connection, err = newConnection(o, group); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// connect returns the connection. The first that needs it makes it, while the others wait.
func (s *subscriber) connect() (*wmamqp.ConnectionWrapper, error) {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return nil, errClosed
	case conn != nil:
		return conn, nil
	}
	conn, err := s.dial()
	if err != nil {
		return nil, err
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

// open returns a channel that has declared the queue of the group and the exchange. The error is an
// [*leat.Error].
func (s *subscriber) open(topic string) (*native.Channel, error) {
	if err := checkNames(&s.config, topic); err != nil {
		return nil, &leat.Error{Op: "declare", Code: leat.CodeInvalid, Err: err}
	}
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	_, ch, err := channel(conn)
	if err != nil {
		return nil, failed(err)
	}
	err = s.config.TopologyBuilder.BuildTopology(ch, wmamqp.BuildTopologyParams{
		Topic: topic, QueueName: s.config.Queue.GenerateName(topic), ExchangeName: s.config.Exchange.GenerateName(topic),
		RoutingKey: s.config.QueueBind.GenerateRoutingKey(topic),
	}, s.config, s.logger)
	if err != nil {
		_ = ch.Close()
		return nil, failed(err)
	}
	return ch, nil
}

// SubscribeInitialize declares the queue of the group and the exchange.
func (s *subscriber) SubscribeInitialize(topic string) error {
	ch, err := s.open(topic)
	if err == nil {
		_ = ch.Close()
	}
	return err
}

// Subscribe returns a channel that is closed when ctx ends, and when the broker has taken away what
// was not acked.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	ch, err := s.open(topic)
	if err != nil {
		return nil, err
	}
	f := &feed{
		channel: ch, delay: s.delay, out: make(chan *message.Message), closing: s.ctx,
		ended: ch.NotifyClose(make(chan *native.Error, 1)), canceled: ch.NotifyCancel(make(chan string, 1)),
	}
	consume, qos := s.config.Consume, s.config.Consume.Qos
	var deliveries <-chan native.Delivery
	err = ch.Qos(qos.PrefetchCount, qos.PrefetchSize, qos.Global)
	if err == nil {
		deliveries, err = ch.Consume(s.config.Queue.GenerateName(topic), consume.Consumer, false, consume.Exclusive, consume.NoLocal,
			consume.NoWait, consume.Arguments)
	}
	s.mu.Lock()
	if s.ctx.Err() != nil {
		err = errClosed
	}
	if err == nil {
		s.feeds.Go(func() { f.run(ctx, deliveries) })
	}
	s.mu.Unlock()
	if err != nil {
		_ = ch.Close()
		return nil, failed(err)
	}
	return f.out, nil
}

// Close ends the subscriptions, whose messages go back, and the connection.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	return s.close(s.feeds.Wait) // nobody sets conn any more
}

// feed is a subscription.
type feed struct {
	channel  *native.Channel
	delay    time.Duration
	out      chan *message.Message
	closing  context.Context      // ends with the subscriber
	ended    <-chan *native.Error // the channel is lost
	canceled <-chan string        // its consumer is lost
}

// run hands messages on until ctx ends, or the channel is lost, which also closes deliveries. The
// end of the channel gives back what was not acked, in order.
func (f *feed) run(ctx context.Context, deliveries <-chan native.Delivery) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.closing, cancel)()
	defer f.channel.Close() //nolint:errcheck // after out was closed
	defer close(f.out)
	for {
		select {
		case d, ok := <-deliveries:
			if !ok || !f.hand(ctx, &d) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// hand hands a message on and waits for its outcome, also when ctx ends meanwhile. It reports
// whether there may be more.
func (f *feed) hand(ctx context.Context, d *native.Delivery) bool {
	m, err := Marshaler{}.Unmarshal(*d)
	if err != nil {
		return false
	}
	own, sent := context.WithCancel(ctx)
	defer sent() // the ack
	m.SetContext(own)
	out := f.out // nil when somebody has the message
	for ending := ctx.Done(); ; out, ending = nil, f.closing.Done() {
		select {
		case out <- m:
			continue
		case <-m.Acked():
			return d.Ack(false) == nil
		case <-m.Nacked():
		case <-f.ended: //nolint:errcheck // why it ended is no matter here
			return false
		case <-f.canceled:
			return false
		case <-ending:
			return false
		}
		timer := time.NewTimer(f.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.ended: //nolint:errcheck // likewise
		case <-f.canceled:
		case <-ctx.Done():
		}
		return d.Nack(false, true) == nil
	}
}
