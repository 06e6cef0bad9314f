package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	client "github.com/nats-io/nats.go"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// legacy is the older program. It uses the broker's client and knows nothing of CloudEvents.
type legacy interface {
	// start is called when topics, exchanges and queues are there.
	start(ctx context.Context) error
	write(ctx context.Context, o Order) error
	read(ctx context.Context) (string, error)
	stop() error
}

// kafkaLegacy writes and reads records.
type kafkaLegacy struct {
	client *kgo.Client
	orders string
	unread []*kgo.Record
}

func newKafkaLegacy(c *config) (*kafkaLegacy, error) {
	types := c.contracts()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.kafka), kgo.ConsumeTopics(types.issued.Topic))
	return &kafkaLegacy{client: client, orders: types.placed.Topic}, err
}

func (l *kafkaLegacy) start(context.Context) error { return nil }

func (l *kafkaLegacy) write(ctx context.Context, o Order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return l.client.ProduceSync(ctx, &kgo.Record{Topic: l.orders, Key: []byte(o.Customer), Value: text}).FirstErr()
}

func (l *kafkaLegacy) read(ctx context.Context) (string, error) {
	for len(l.unread) == 0 {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		l.unread = l.client.PollFetches(ctx).Records()
	}
	record := l.unread[0]
	l.unread = l.unread[1:]
	return string(record.Value), nil
}

func (l *kafkaLegacy) stop() error {
	l.client.Close()
	return nil
}

// rabbitLegacy writes and reads messages.
type rabbitLegacy struct {
	connection       *amqp.Connection
	channel          *amqp.Channel
	orders, invoices string
	arrivals         <-chan amqp.Delivery
}

func newRabbitLegacy(c *config) (*rabbitLegacy, error) {
	types := c.contracts()
	connection, err := amqp.Dial("amqp://guest:guest@" + c.rabbitmq)
	return &rabbitLegacy{connection: connection, orders: types.placed.Topic, invoices: types.issued.Topic}, err
}

// start opens a queue for the invoices. An exchange of Leat has the name of its topic.
func (l *rabbitLegacy) start(context.Context) error {
	var err error
	if l.channel, err = l.connection.Channel(); err != nil {
		return err
	}
	queue, err := l.channel.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return err
	}
	if err := l.channel.QueueBind(queue.Name, "#", l.invoices, false, nil); err != nil {
		return err
	}
	l.arrivals, err = l.channel.Consume(queue.Name, "", true, true, false, false, nil)
	return err
}

func (l *rabbitLegacy) write(ctx context.Context, o Order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return l.channel.PublishWithContext(ctx, l.orders, "order", true, false, amqp.Publishing{
		MessageId: o.ID, ContentType: "application/json", Headers: amqp.Table{customerHeader: o.Customer}, Body: text,
	})
}

func (l *rabbitLegacy) read(ctx context.Context) (string, error) {
	select {
	case m, open := <-l.arrivals:
		if !open {
			return "", errors.New("the channel is closed")
		}
		return string(m.Body), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (l *rabbitLegacy) stop() error { return l.connection.Close() }

// natsLegacy writes and reads messages.
type natsLegacy struct {
	connection       *client.Conn
	orders, invoices string // subjects
	arrivals         *client.Subscription
}

// newNATSLegacy connects. A stream of Leat takes the subject "leat." and the name of its topic.
func newNATSLegacy(c *config) (*natsLegacy, error) {
	types := c.contracts()
	connection, err := client.Connect("nats://" + c.nats)
	return &natsLegacy{connection: connection, orders: "leat." + types.placed.Topic, invoices: "leat." + types.issued.Topic}, err
}

func (l *natsLegacy) start(context.Context) (err error) {
	if l.arrivals, err = l.connection.SubscribeSync(l.invoices); err != nil {
		return err
	}
	return l.connection.Flush()
}

func (l *natsLegacy) write(ctx context.Context, o Order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	m := client.NewMsg(l.orders)
	m.Header.Set(client.MsgIdHdr, o.ID)
	m.Header.Set("Content-Type", "application/json")
	m.Header.Set(customerHeader, o.Customer)
	m.Data = text
	_, err = l.connection.RequestMsgWithContext(ctx, m) // the stream answers when it has stored it
	return err
}

func (l *natsLegacy) read(ctx context.Context) (string, error) {
	m, err := l.arrivals.NextMsgWithContext(ctx)
	if err != nil {
		return "", err
	}
	return string(m.Data), nil
}

func (l *natsLegacy) stop() error {
	l.connection.Close()
	return nil
}

// memoryLegacy stands for the older program where there is no broker. It reads what would be the
// value of a Kafka record.
type memoryLegacy struct {
	broker *memory.Broker
	types  contracts
	stream leat.Stream
}

func (l *memoryLegacy) start(ctx context.Context) error {
	sub := leat.Subscription{Topic: l.types.issued.Topic, Group: "legacy"}
	if err := leat.Declare(ctx, l.broker, sub); err != nil {
		return err
	}
	var err error
	l.stream, err = l.broker.Subscribe(ctx, sub)
	return err
}

func (l *memoryLegacy) write(_ context.Context, o Order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return l.broker.DeliverRaw(l.types.placed.Topic, leat.Malformed{Key: []byte(o.Customer), Body: text})
}

func (l *memoryLegacy) read(ctx context.Context) (string, error) {
	into := make([]leat.Delivery, 1)
	if _, err := l.stream.Receive(ctx, into); err != nil {
		return "", err
	}
	l.stream.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	record, err := kafka.EncodeRecord(into[0].Event)
	if err != nil {
		return "", err
	}
	return string(record.Value), nil
}

func (l *memoryLegacy) stop() error { return l.stream.Close(context.Background()) }
