package rabbitmq_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRefusedChannel: where the broker refuses one of the channels to publish by, the keys of the
// others go on, and its own do when it is there.
func TestRefusedChannel(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Config: map[string]string{"channel_max": "4"}})
	o := liveOptions(n)
	o.PublishChannels = 4
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	taken, free, released := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(free) })
	defer release()
	go func() {
		released <- b.WithChannel(context.Background(), func(*amqp.Channel) error {
			close(taken)
			<-free
			return nil
		})
	}()
	<-taken

	events := liveEvents(t, 0, 200, 100)
	var mu sync.Mutex
	confirmed := map[string]bool{}
	outcomes := make(chan error, len(events))
	b.Publish(t.Context(), sub.Topic, events, func(i int, err error) {
		mu.Lock()
		confirmed[events[i].Key()] = true
		mu.Unlock()
		outcomes <- err
	})
	require.NoError(t, <-outcomes)
	liveEventually(t, "health says that there is no channel", func() bool { return b.Health() != nil })
	require.ErrorContains(t, b.Health(), "channel")
	liveEventually(t, "the keys of the other channels are published", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(confirmed) >= 50
	})
	mu.Lock()
	assert.Less(t, len(confirmed), 100)
	var good []leat.Event
	for _, e := range liveEvents(t, 1_000, 1_100, 100) {
		if confirmed[e.Key()] {
			good = append(good, e)
		}
	}
	mu.Unlock()
	began := time.Now()
	for _, e := range good[:20] {
		livePublish(t, b, sub.Topic, e)
	}
	assert.Less(t, time.Since(began), 5*time.Second, "they wait for the one without a channel")
	release()
	require.NoError(t, <-released)
	for range len(events) - 1 {
		require.NoError(t, <-outcomes)
	}
	liveEventually(t, "all is well", func() bool { return b.Health() == nil })
	testRefusedInTime(t, o)
}

// testRefusedInTime: what has no channel for too long is refused, with the reason, and health
// forgets it.
func testRefusedInTime(t *testing.T, o rabbitmq.Options) {
	t.Helper()
	o.PublishChannels, o.DeliveryTimeout = 5, time.Second
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	refused := 0
	for _, err := range liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 0, 200, 100)...) {
		if err != nil {
			refused++
			assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), err)
			require.ErrorContains(t, err, "channel")
		}
	}
	assert.Positive(t, refused)
	assert.Less(t, refused, 200)
	liveEventually(t, "nothing is wrong any more", func() bool { return b.Health() == nil })
}
