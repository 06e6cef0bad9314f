package gcppubsub_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// TestMoreRequestsThanAConnectionTakes: the server has 10 streams of a connection, and requests for
// more wait for one. None fails, and calls that are not publishes do not wait for long.
func TestMoreRequestsThanAConnectionTakes(t *testing.T) {
	t.Parallel()
	const streams, keys = 10, 200
	f := startFake(t, grpc.MaxConcurrentStreams(streams))
	b := on(t, f, gcppubsub.Options{Requests: 100, RequestTimeout: 20 * time.Second})
	require.NoError(t, b.Declare(t.Context(), billing()))
	var now, most atomic.Int32
	var opened atomic.Bool
	full := make(chan struct{})
	f.Break("Publish", func(context.Context) error {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == streams && !opened.Swap(true) {
			close(full)
		}
		<-full // all streams are taken, and other requests wait
		return nil
	})
	events := make([]leat.Event, keys)
	for i := range events {
		var err error
		events[i], err = leat.NewEvent("order.placed", &leat.EventOptions{Source: "/o", ID: fmt.Sprint("e", i), Key: fmt.Sprint("k", i)})
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	all.Add(keys)
	b.Publish(t.Context(), "orders", events, func(i int, err error) {
		defer all.Done()
		assert.NoError(t, err, i)
	})
	all.Wait()
	assert.Equal(t, int32(streams), most.Load())
	assert.Len(t, f.Messages(), keys)
	require.NoError(t, b.Health())
	require.NoError(t, b.Declare(t.Context(), billing()))
}

// TestOneRequestOfAKey: the events of a key wait for the answer to those before them, and other
// keys do not.
func TestOneRequestOfAKey(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	var now, more atomic.Int32
	began, hold := make(chan struct{}, 10), make(chan struct{})
	b := on(t, f, requests(func(_ int, r *pb.PublishRequest) error {
		if r.GetMessages()[0].GetOrderingKey() == "k" {
			if now.Add(1) > 1 {
				more.Add(1)
			}
			began <- struct{}{}
			<-hold
			now.Add(-1)
		}
		return nil
	}))
	require.NoError(t, b.Declare(t.Context(), billing()))
	first := publish(t, b, 1)
	<-began
	second := publish(t, b, 1)
	for range 10 {
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{Key: "other"})))
	}
	close(hold)
	first.all.Wait()
	second.all.Wait()
	require.NoError(t, first.errs[0])
	require.NoError(t, second.errs[0])
	assert.Zero(t, more.Load())
}
