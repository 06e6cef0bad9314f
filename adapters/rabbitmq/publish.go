package rabbitmq

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

// Publish implements [leat.Broker].
func (b *Broker) Publish(_ context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	for i := range events {
		done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnsupported, Err: errors.New("not there yet")})
	}
}

func (b *Broker) closePublishing(context.Context) {}
