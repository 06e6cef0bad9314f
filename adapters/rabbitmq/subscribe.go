package rabbitmq

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

// Subscribe implements [leat.Broker].
func (b *Broker) Subscribe(_ context.Context, sub leat.Subscription) (leat.Stream, error) {
	return nil, &leat.Error{Op: "subscribe", Topic: sub.Topic, Code: leat.CodeUnsupported, Err: errors.New("not there yet")}
}
