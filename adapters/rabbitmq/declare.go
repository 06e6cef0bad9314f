package rabbitmq

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

// Declare implements [leat.Declarer] as [Options].Provision says.
func (b *Broker) Declare(_ context.Context, subs ...leat.Subscription) error {
	for _, sub := range subs {
		return &leat.Error{Op: "declare", Topic: sub.Topic, Code: leat.CodeUnsupported, Err: errors.New("not there yet")}
	}
	return nil
}
