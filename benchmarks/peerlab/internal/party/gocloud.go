package party

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/rabbitpubsub"
)

func goCloudDefault() Party {
	return Party{
		Name: "gocloud", Title: "Go CDK, as documented",
		How:  "`OpenTopic` and `OpenSubscription` on a connection of `amqp.Dial` each, durable exchange and queue, a prefetch of 10",
		Open: openGoCloud(goCloudOptions{}),
	}
}

func goCloudSafe() Party {
	return Party{
		Name: "gocloud-safe", Title: "Go CDK, safest",
		How:  "the same, with `BeforeSend` setting `DeliveryMode` to persistent",
		Open: openGoCloud(goCloudOptions{persistent: true}),
	}
}

func goCloudRecovering() Party {
	return Party{
		Name: "gocloud-recovery", Title: "Go CDK, safest, on recovering connections",
		How: "the same, on connections of `amqp.DialConfig` with the client's own `Recovery` (new in it, and not mentioned by the package), " +
			"which tries every 500 ms, without end",
		Open: openGoCloud(goCloudOptions{persistent: true, recovery: true}),
	}
}

type goCloudOptions struct{ persistent, recovery bool }

type goCloudPeer struct {
	o                     goCloudOptions
	target                Target
	publishing, consuming *amqp.Connection
	topic                 *pubsub.Topic
}

func openGoCloud(o goCloudOptions) func(ctx context.Context, t Target) (Peer, error) {
	return func(_ context.Context, t Target) (Peer, error) {
		p := &goCloudPeer{o: o, target: t}
		var err error
		if p.publishing, err = o.dial(t.URL); err != nil {
			return nil, err
		}
		if p.consuming, err = o.dial(t.URL); err != nil {
			return nil, err
		}
		p.topic = rabbitpubsub.OpenTopic(p.publishing, t.Exchange, nil)
		return p, nil
	}
}

// dial makes a connection, which the package leaves to the application.
func (o goCloudOptions) dial(url string) (*amqp.Connection, error) {
	if !o.recovery {
		return amqp.Dial(url)
	}
	return amqp.DialConfig(url, amqp.Config{Locale: "en_US", Recovery: &amqp.Recovery{
		ReconnectionConfig: &amqp.ReconnectionConfig{MaxRetryCount: 1_000_000, RetryInterval: 500 * time.Millisecond},
	}})
}

// Declare does it by the plain client: the package leaves it to the application.
func (p *goCloudPeer) Declare(context.Context) error {
	conn, err := amqp.Dial(p.target.URL)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it is done with
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(p.target.Exchange, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(p.target.Queue, true, false, false, false, maps.Clone(p.target.Arguments)); err != nil {
		return err
	}
	return ch.QueueBind(p.target.Queue, "", p.target.Exchange, false, nil)
}

// Publish calls Send for all at the same time, which the package makes batches of.
func (p *goCloudPeer) Publish(ctx context.Context, ids ...string) []error {
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { errs[i] = p.topic.Send(ctx, p.message(id)) })
	}
	all.Wait()
	return errs
}

func (p *goCloudPeer) message(id string) *pubsub.Message {
	return &pubsub.Message{Body: []byte(id), Metadata: map[string]string{"id": id}, BeforeSend: func(as func(any) bool) error {
		if id == Broken {
			return errors.New("this message cannot be encoded")
		}
		var publishing *amqp.Publishing
		if p.o.persistent && as(&publishing) {
			publishing.DeliveryMode = amqp.Persistent
		}
		return nil
	}}
}

func (p *goCloudPeer) Consume(ctx context.Context, workers int, handle Handle) error {
	prefetch := 10
	s := rabbitpubsub.OpenSubscription(p.consuming, p.target.Queue, &rabbitpubsub.SubscriptionOptions{PrefetchCount: &prefetch})
	defer s.Shutdown(context.WithoutCancel(ctx)) //nolint:errcheck // it is done with
	errs := make([]error, workers)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { errs[i] = receive(ctx, s, handle) })
	}
	all.Wait()
	return cmp.Or(errs...) // they have the same
}

// receive handles messages until Receive returns an error: of ctx, or one that it returns for ever
// from then on.
func receive(ctx context.Context, s *pubsub.Subscription, handle Handle) error {
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return err
		}
		if handle(ctx, string(m.Body)) == nil {
			m.Ack()
		} else {
			m.Nack()
		}
	}
}

// Close closes the connections too, as the application has to, with the deadline that the client
// takes.
func (p *goCloudPeer) Close(ctx context.Context) error {
	err := p.topic.Shutdown(ctx)
	for _, conn := range []*amqp.Connection{p.publishing, p.consuming} {
		if deadline, ok := ctx.Deadline(); ok {
			err = errors.Join(err, conn.CloseDeadline(deadline))
		} else {
			err = errors.Join(err, conn.Close())
		}
	}
	return err
}
