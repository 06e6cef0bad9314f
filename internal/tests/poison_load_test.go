package leat_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRefusedEventsAmongManyDelayNone has 1,000 events that the poison queue refuses among 100,000
// good ones. No good event is handled later than a second after it was published.
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

// TestAReducedPoisonIsLoggedAndCounted has a malformed delivery and an event that do not fit.
func TestAReducedPoisonIsLoggedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var log bytes.Buffer
		var got []leat.Event
		b.publish = func(_ context.Context, topic string, events []leat.Event, done func(int, error)) {
			assert.Equal(t, testPoisonTopic, topic)
			got = append(got, events...)
			for i := range events {
				done(i, nil)
			}
		}
		r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) }, &leat.ConsumerOptions{
			PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		lease := leat.NewLease()
		b.deliverRaw(leat.Delivery{
			Malformed: &leat.Malformed{Body: bytes.Repeat([]byte("SECRET"), 150_000), Reason: errBoom}, Lease: lease,
			Position: leat.Position{Partition: 3, Offset: 42},
		})
		synctest.Wait()
		b.deliver(lease, foreignEvent(t, 72, 10, "text/plain", []byte("SECRET")), event(t, "small", ""))
		synctest.Wait()
		require.Len(t, got, 3)
		assert.EqualValues(t, 3, r.consumer.Stats().Poisoned)
		assert.EqualValues(t, 2, r.consumer.Stats().PoisonReduced)
		assert.Equal(t, leat.Healthy, r.consumer.Health().State)
		assert.Equal(t, 2, strings.Count(log.String(), "written in the reduced form"))
		assert.Contains(t, log.String(), "position=3/42 bytes=900000 kept_data_bytes=78")
		assert.Contains(t, log.String(), "id=A-1")
		assert.NotContains(t, log.String(), "SECRET")
		r.stopClean()
	})
}
