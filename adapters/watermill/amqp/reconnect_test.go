//go:build !race

package amqp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill/amqp"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longestWait is how long a publish waits for a connection, as Options.DeliveryTimeout says.
const longestWait = 10 * time.Second

// TestRestart: what was confirmed while the broker is restarted is handled, a handler that runs
// then is told that its lease is lost, and nothing is refused that the wait for a connection can
// save. A busy machine may take longer than that wait to restart the broker. watermill-amqp changes
// its connection without a lock when it connects again, so that the test cannot run under the race
// detector.
func TestRestart(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	leavesNothing(t)
	b := open(t, amqp.Options{URL: node.URL(), Channels: 8})
	sub := group("restart")
	require.NoError(t, leat.Declare(within(t), b, sub))
	require.NoError(t, node.Sync(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	var mu sync.Mutex
	confirmed, handled := map[string]bool{}, map[string]bool{}
	held, told := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	c := leat.NewConsumer(b, sub, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		if e.ID() == "held" {
			first := false
			once.Do(func() { first = true })
			if first {
				close(held)
				<-ctx.Done()
				told <- context.Cause(ctx)
				return context.Cause(ctx)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		handled[e.ID()] = true
		return nil
	}), nil)
	var running sync.WaitGroup
	running.Go(func() { assert.NoError(t, leat.Run(ctx, c)) })
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(ctx, sub.Topic, event(t, &leat.EventOptions{ID: "held", Source: "/s"})))
	<-held
	unknown := 0
	over := make(chan struct{})
	var publishing sync.WaitGroup
	for lane := range 8 {
		publishing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				id := fmt.Sprintf("%d-%d", lane, i)
				e, err := leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s"})
				assert.NoError(t, err)
				begun := time.Now()
				err = p.Publish(ctx, sub.Topic, e)
				mu.Lock()
				switch leat.CodeOf(err) {
				case leat.CodeUnknown:
					unknown++
				case 0:
					confirmed[id] = true
				case leat.CodeUnavailable:
					assert.GreaterOrEqual(t, time.Since(begun), longestWait, "it was refused too early: %v", err)
				default:
					assert.NoError(t, err)
				}
				mu.Unlock()
			}
		})
	}
	require.NoError(t, node.Restart(ctx))
	require.ErrorIs(t, <-told, leat.ErrLeaseLost)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(confirmed)
	}
	before := count()
	require.Eventually(t, func() bool { return count() > before+100 }, patience, 10*time.Millisecond, "it goes on afterwards")
	close(over)
	publishing.Wait()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for id := range confirmed {
			if !handled[id] {
				return false
			}
		}
		return handled["held"]
	}, patience, 10*time.Millisecond)
	stop()
	running.Wait()
	t.Logf("%d confirmed, %d unknown", len(confirmed), unknown)
	assert.NotEmpty(t, confirmed)
	assert.LessOrEqual(t, unknown, 8, "one of each that publishes")
}

// TestCloseInAnOutage: Close does not wait for a broker that is gone, which watermill-amqp does,
// and connects to it no more.
func TestCloseInAnOutage(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	b := open(t, amqp.Options{URL: node.URL()})
	sub := group("outage")
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(within(t), sub.Topic, event(t, &leat.EventOptions{Source: "/s"})))
	into := make([]leat.Delivery, 1)
	_, err = stream.Receive(within(t), into)
	require.NoError(t, err)
	require.NoError(t, node.Stop())
	begun := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begun), 5*time.Second)
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(p.Publish(within(t), sub.Topic, into[0].Event)))
}
