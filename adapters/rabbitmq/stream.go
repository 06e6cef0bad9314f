package rabbitmq

import (
	"context"

	"github.com/leatgo/leat"
)

// Stream is the stream of one subscription. It implements [leat.Stream] and [leat.HealthReporter].
type Stream struct {
	sub leat.Subscription
}

// Health implements [leat.HealthReporter].
func (s *Stream) Health() error { return nil }

// Close implements [leat.Stream].
func (s *Stream) Close(context.Context) error { return nil }
