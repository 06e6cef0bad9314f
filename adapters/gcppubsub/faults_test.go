package gcppubsub_test

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// TestAnEndpointThatSaysNothing takes connections and answers none: calls end in time with what is
// wrong, and connections are made no more than once a second.
func TestAnEndpointThatSaysNothing(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var dials atomic.Int32
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			defer func() { _ = c.Close() }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-accepting })
	b, err := gcppubsub.New(&gcppubsub.Options{
		Project: project, Endpoint: "http://" + l.Addr().String(), RequestTimeout: time.Second, DialTimeout: time.Second,
		DeliveryTimeout: 3 * time.Second, CloseTimeout: time.Second,
	})
	require.NoError(t, err)
	began := time.Now()
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(b.Declare(t.Context(), billing())))
	_, err = b.Subscribe(t.Context(), billing())
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
	err = leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{}))
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "nothing was sent")
	require.Error(t, b.Health())
	took := time.Since(began)
	assert.LessOrEqual(t, int(dials.Load()), 2*(1+int(took/time.Second)))
	require.NoError(t, b.Close())
}

// TestPullsSayWhatIsWrong: whatever code ends a pull, health shows it, and the stream goes on when
// it is over.
func TestPullsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]leat.Code{
		codes.Unavailable: leat.CodeUnavailable, codes.Internal: leat.CodeUnavailable, codes.Aborted: leat.CodeUnavailable,
		codes.ResourceExhausted: leat.CodeExhausted, codes.NotFound: leat.CodeNotFound, codes.PermissionDenied: leat.CodePermissionDenied,
		codes.FailedPrecondition: leat.CodeInvalid, codes.Unauthenticated: leat.CodeUnauthenticated, codes.Unknown: leat.CodeUnavailable,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			f := startFake(t)
			repair := f.Break("StreamingPull", says(code))
			var log brokertest.Logbook
			b := on(t, f, gcppubsub.Options{Logger: log.Logger()})
			s, err := b.Subscribe(t.Context(), billing())
			require.NoError(t, err)
			stream, _ := s.(leat.HealthReporter)
			require.Eventually(t, func() bool { return leat.CodeOf(stream.Health()) == want }, brokertest.Patience, time.Millisecond)
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{Key: "k"})))
			repair()
			into := make([]leat.Delivery, 1)
			_, err = s.Receive(t.Context(), into)
			require.NoError(t, err)
			s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
			require.NoError(t, stream.Health())
			assert.Len(t, log.With(`WARN msg="a subscription cannot be pulled"`), 1)
			assert.Len(t, log.With(`INFO msg="a subscription can be pulled again"`), 1)
		})
	}
}

// TestRefusedPublishes: the outcome of each code, and one event that is wrong refuses no other.
func TestRefusedPublishes(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]leat.Code{
		codes.InvalidArgument: leat.CodeInvalid, codes.PermissionDenied: leat.CodePermissionDenied, codes.NotFound: leat.CodeNotFound,
		codes.ResourceExhausted: leat.CodeExhausted, codes.Unavailable: leat.CodeUnknown, codes.Internal: leat.CodeUnknown,
	} {
		f := startFake(t)
		b := on(t, f, gcppubsub.Options{})
		require.NoError(t, b.Declare(t.Context(), billing()))
		f.Break("Publish", says(code))
		err := leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{}))
		assert.Equal(t, want, leat.CodeOf(err), code)
	}
}

// TestHundredStreams leave neither goroutines nor memory.
func TestHundredStreams(t *testing.T) {
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{})
	open := func() {
		pulls := f.pulls.Load()
		s, err := b.Subscribe(t.Context(), billing())
		require.NoError(t, err)
		require.Eventually(t, func() bool { return f.pulls.Load() > pulls }, brokertest.Patience, time.Millisecond)
		require.NoError(t, s.Close(t.Context()))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what finalizers and pools kept
		runtime.ReadMemStats(&m)
		return m.HeapAlloc >> 10
	}
	for range 10 { // which connect, and fill pools
		open()
	}
	goroutines, before := runtime.NumGoroutine(), heap()
	const streams, mostKiB = 100, 1 << 10
	for range streams {
		open()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, brokertest.Patience, time.Millisecond)
	require.Eventually(t, func() bool { return heap() <= before+mostKiB }, brokertest.Patience, time.Millisecond)
	t.Logf("%d streams opened and closed: %d goroutines before, %d after; heap %d KiB before, %d KiB after",
		streams, goroutines, runtime.NumGoroutine(), before, heap())
}

// TestLag says why there is none, and that a group does not exist.
func TestLag(t *testing.T) {
	t.Parallel()
	b := on(t, startFake(t), gcppubsub.Options{})
	_, err := b.Lag(t.Context(), "orders", "billing")
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	require.NoError(t, b.Declare(t.Context(), billing()))
	_, err = b.Lag(t.Context(), "orders", "billing")
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
	require.ErrorContains(t, err, "oldest_unacked_message_age")
}

// TestBroadcastIsDeleted with its stream.
func TestBroadcastIsDeleted(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{})
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Broadcast: true})
	require.NoError(t, err)
	count := func() int {
		all, err := f.GServer.ListSubscriptions(t.Context(), &pb.ListSubscriptionsRequest{Project: "projects/leat"})
		require.NoError(t, err)
		return len(all.GetSubscriptions())
	}
	assert.Equal(t, 1, count())
	require.NoError(t, s.Close(t.Context()))
	assert.Equal(t, 0, count())
}

// TestBroadcastThatIsNotDeleted: Close says it, and has a bound.
func TestBroadcastThatIsNotDeleted(t *testing.T) {
	t.Parallel()
	for code, answer := range map[leat.Code]func(context.Context) error{
		leat.CodePermissionDenied: says(codes.PermissionDenied),
		leat.CodeUnavailable: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
		leat.CodeOf(nil): says(codes.NotFound), // it is gone already
	} {
		f := startFake(t)
		f.Break("DeleteSubscription", answer)
		b := on(t, f, gcppubsub.Options{RequestTimeout: time.Second})
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Broadcast: true})
		require.NoError(t, err)
		began := time.Now()
		err = s.Close(context.Background()) // which never ends
		assert.Equal(t, code, leat.CodeOf(err))
		if err != nil {
			require.ErrorContains(t, err, "deleting the subscription of the broadcast")
		}
		assert.Less(t, time.Since(began), 5*time.Second)
	}
}
