package leat_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRefusedEventsAmongManyDelayNone has 1,000 events that the poison queue refuses among 100,000 good ones. No good
// event is handled later than a second after it was published.
func TestRefusedEventsAmongManyDelayNone(t *testing.T) {
	const total, every = 101_000, 101
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		producer := leat.NewProducer(broker, nil)
		var mu sync.Mutex
		var worst time.Duration
		handled := 0
		c := leat.NewConsumer(broker, testSub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			if e.Key() == "" {
				return leat.Reject(errBoom)
			}
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, time.Since(e.Time()))
			handled++
			return nil
		}), &leat.ConsumerOptions{MaxInFlight: 4_000, PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
			return queueError(leat.CodePermissionDenied, testPoisonTopic)
		})})
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, c) }()
		synctest.Wait()
		for i := range total {
			key := fmt.Sprint("k", i%50)
			if i%every == 0 {
				key = ""
			}
			require.NoError(t, producer.Publish(ctx, "orders", event(t, fmt.Sprint(i), key)))
			if i%100 == 99 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Minute)
		mu.Lock()
		assert.Equal(t, 100_000, handled)
		assert.LessOrEqual(t, worst, time.Second)
		mu.Unlock()
		assert.Equal(t, 1_000, c.Stats().PoisonRefused)
		assert.Equal(t, leat.Degraded, c.Health().State)
		stop()
		require.NoError(t, <-result)
		require.NoError(t, broker.Close())
	})
}
