package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/goroutines"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCloseAwaitsEveryGoroutine looks at the moment when Close has returned (rule C3), with a
// broker that answers and with one that has stopped answering. It looks at the goroutines of the
// process, so it runs alone.
func TestCloseAwaitsEveryGoroutine(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	for name, silence := range map[string]bool{"the broker answers": false, "the broker is silent": true} { //nolint:paralleltest // see above
		t.Run(name, func(t *testing.T) {
			before := goroutines.Now()
			b, err := rabbitmq.New(&rabbitmq.Options{
				Hosts: []string{node.Addr()}, CloseTimeout: time.Second, RequestTimeout: 10 * time.Second, DeliveryTimeout: time.Second,
			})
			require.NoError(t, err)
			var streams []leat.Stream
			topic := liveName(t)
			for _, group := range []string{"a", "b", "c", "d"} {
				sub := leat.Subscription{Topic: topic, Group: group}
				require.NoError(t, b.Declare(t.Context(), sub))
				s, err := b.Subscribe(t.Context(), sub)
				require.NoError(t, err)
				streams = append(streams, s)
			}
			livePublish(t, b, topic, liveEvents(t, 0, 100, 3)...)
			for _, s := range streams {
				into := make([]leat.Delivery, 10)
				n, err := s.Receive(t.Context(), into)
				require.NoError(t, err)
				for i := range into[:n] {
					s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
				}
			}
			if silence {
				require.NoError(t, node.Pause())
				defer func() { _ = node.Resume() }()
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				_ = streams[0].Close(ctx)
				_ = b.Declare(ctx, leat.Subscription{Topic: topic, Group: "e"})
				b.Publish(ctx, topic, liveEvents(t, 100, 110, 3), func(int, error) {})
			}
			require.NoError(t, b.Close())
			assert.Empty(t, before.Since("leat/adapters/rabbitmq.", "rabbitmq/amqp091-go"))
		})
	}
}
