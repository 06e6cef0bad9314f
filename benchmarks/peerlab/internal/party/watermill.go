package party

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

func watermillDefault() Party {
	return Party{
		Name: "watermill", Title: "Watermill, as documented",
		How:  "`NewDurablePubSubConfig`, nothing changed",
		Open: openWatermill(func(*wamqp.Config) {}),
	}
}

func watermillSafe() Party {
	return Party{
		Name: "watermill-safe", Title: "Watermill, safest",
		How: "`NewDurablePubSubConfig` with `ConfirmDelivery` and `Mandatory`",
		Open: openWatermill(func(c *wamqp.Config) {
			c.Publish.ConfirmDelivery, c.Publish.Mandatory = true, true
		}),
	}
}

func watermillTransactional() Party {
	return Party{
		Name: "watermill-tx", Title: "Watermill, transactional",
		How: "`NewDurablePubSubConfig` with `Transactional`, its way to publish several messages as one",
		Open: openWatermill(func(c *wamqp.Config) {
			c.Publish.Transactional = true
		}),
	}
}

// brokenMarshaler is Watermill's own, apart from the message that cannot be encoded.
type brokenMarshaler struct{ wamqp.DefaultMarshaler }

func (m brokenMarshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	if msg.UUID == Broken {
		return amqp.Publishing{}, errors.New("this message cannot be encoded")
	}
	return m.DefaultMarshaler.Marshal(msg)
}

type watermillPeer struct {
	config    wamqp.Config
	target    Target
	publisher *wamqp.Publisher

	mu          sync.Mutex
	subscribers []*wamqp.Subscriber
}

func openWatermill(change func(*wamqp.Config)) func(ctx context.Context, t Target) (Peer, error) {
	return func(_ context.Context, t Target) (Peer, error) {
		c := wamqp.NewDurablePubSubConfig(t.URL, wamqp.GenerateQueueNameConstant(t.Queue))
		c.Queue.Arguments = t.Arguments
		c.Marshaler = brokenMarshaler{}
		change(&c)
		p, err := wamqp.NewPublisher(c, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		return &watermillPeer{config: c, target: t, publisher: p}, nil
	}
}

func (p *watermillPeer) Declare(context.Context) error {
	s, err := wamqp.NewSubscriber(p.config, watermill.NopLogger{})
	if err != nil {
		return err
	}
	return errors.Join(s.SubscribeInitialize(p.target.Exchange), s.Close())
}

func (p *watermillPeer) Publish(ctx context.Context, ids ...string) []error {
	messages := make([]*message.Message, len(ids))
	for i, id := range ids {
		messages[i] = message.NewMessageWithContext(ctx, id, []byte(id))
	}
	return same(len(ids), p.publisher.Publish(p.target.Exchange, messages...))
}

// Consume handles one message after the other: the package has one of a subscription in flight.
func (p *watermillPeer) Consume(ctx context.Context, _ int, handle Handle) error {
	s, err := wamqp.NewSubscriber(p.config, watermill.NopLogger{})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.subscribers = append(p.subscribers, s)
	p.mu.Unlock()
	messages, err := s.Subscribe(ctx, p.target.Exchange)
	if err != nil {
		return err
	}
	for m := range messages {
		if handle(m.Context(), string(m.Payload)) == nil {
			m.Ack()
		} else {
			m.Nack()
		}
	}
	return nil
}

// Close cannot pass ctx on: the package's Close takes none.
func (p *watermillPeer) Close(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.subscribers {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.publisher.Close())...)
}
