package awssnssqs

import (
	"context"

	"github.com/leatgo/leat"
)

type publisher struct{}

func newPublisher(*Broker) *publisher { return &publisher{} }

func (p *publisher) health() error { return nil }

func (p *publisher) close(context.Context) {}

// Publish implements [leat.Broker].
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
}

// Withdraw implements [leat.Withdrawer].
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {}
