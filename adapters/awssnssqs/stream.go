package awssnssqs

import (
	"context"

	"github.com/leatgo/leat"
)

// Stream is a [leat.Stream] of one queue.
type Stream struct{ leat.Stream }

// Subscribe implements [leat.Broker]. The stream is a [*Stream].
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	return nil, nil
}
