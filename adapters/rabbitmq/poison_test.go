package rabbitmq_test

import (
	"context"
	"errors"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	amqp "github.com/rabbitmq/amqp091-go"
)

// TestWhatDoesNotFitIntoThePoisonQueue has messages that a poison queue on RabbitMQ cannot take as
// they are.
func TestWhatDoesNotFitIntoThePoisonQueue(t *testing.T) {
	n := brokertest.StartRabbitMQ(t, nil)
	ch := liveChannel(t, liveRaw(t, n.URL()))
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	publish := func(ctx context.Context, topic string, m amqp.Publishing) error {
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, topic, "", true, false, m)
		if err != nil {
			return err
		}
		if ok, err := confirm.WaitContext(ctx); err != nil || !ok {
			return errors.Join(errors.New("not confirmed"), err)
		}
		return nil
	}
	poisonload.Shapes(t, liveBroker(t, liveOptions(n)), liveName(t), poisonload.Injector{
		LargeBytes: 1<<20 - 100,
		Event: func(ctx context.Context, topic string, e leat.Event) error {
			m := amqp.Publishing{Headers: amqp.Table{}, Body: e.Data()}
			for name, value := range e.Attributes() {
				m.Headers["ce-"+name] = value
			}
			return publish(ctx, topic, m)
		},
		Raw: func(ctx context.Context, topic string, body []byte) error {
			return publish(ctx, topic, amqp.Publishing{Body: body})
		},
	})
}

// TestRejectedEventsAmongManyDelayNone has 1,000 rejected events among 100,000 good ones where
// LEAT_LONG is set, else a tenth of that.
func TestRejectedEventsAmongManyDelayNone(t *testing.T) {
	n := brokertest.StartRabbitMQ(t, nil)
	for name, refused := range map[string]bool{"that do not fit into the poison queue": false, "that it refuses": true} {
		t.Run(name, func(t *testing.T) {
			poisonload.Among(t, liveBroker(t, liveOptions(n)), liveName(t), refused)
		})
	}
}
