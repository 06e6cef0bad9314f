package gcppubsub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// requests is what a client is about to send: each request to publish gets an answer in place of
// that of the server, which never sees it, or nil and that of the server.
func requests(answer func(n int, r *pb.PublishRequest) error) gcppubsub.Options {
	var n atomic.Int32
	return gcppubsub.Options{ClientOptions: []option.ClientOption{option.WithGRPCDialOption(grpc.WithUnaryInterceptor(func(
		ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		if r, ok := req.(*pb.PublishRequest); ok {
			raw, err := proto.Marshal(r) // the messages are written as bytes
			written := &pb.PublishRequest{}
			if err == nil {
				err = proto.Unmarshal(raw, written)
			}
			if err == nil {
				err = answer(int(n.Add(1)), written)
			}
			if err != nil {
				return err
			}
		}
		return next(ctx, method, req, reply, conn, opts...)
	}))}}
}

// published is events that are published at once, and their outcomes.
type published struct {
	mu   sync.Mutex
	errs map[int]error
	all  sync.WaitGroup
}

// publish publishes n events of a key, e0 to e(n-1), in one call.
func publish(t *testing.T, b leat.Broker, n int) *published {
	t.Helper()
	events := make([]leat.Event, n)
	for i := range events {
		var err error
		events[i], err = leat.NewEvent("order.placed", &leat.EventOptions{Source: "/o", ID: fmt.Sprint("e", i), Key: "k"})
		require.NoError(t, err)
	}
	p := &published{errs: map[int]error{}}
	p.all.Add(n)
	b.Publish(t.Context(), "orders", events, func(i int, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.errs[i] = err
		p.all.Done()
	})
	return p
}

// stored returns the ids of the events that a server has, in order.
func stored(f *fake) string {
	all := f.Messages()
	ids := make([]string, len(all))
	for i, m := range all {
		ids[i] = m.Attributes["ce-id"]
	}
	return strings.Join(ids, " ")
}

// TestOrderOfARefusedRequest: its events go again in order, also when there is no connection for
// one of them.
func TestOrderOfARefusedRequest(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, requests(func(n int, _ *pb.PublishRequest) error {
		switch n {
		case 1:
			return status.Error(codes.InvalidArgument, "one of them is wrong")
		case 2, 4:
			return status.Error(codes.Unavailable, "no connection")
		default:
			return nil
		}
	}))
	require.NoError(t, b.Declare(t.Context(), billing()))
	p := publish(t, b, 5)
	p.all.Wait()
	for i, err := range p.errs {
		require.NoError(t, err, i)
	}
	assert.Equal(t, "e0 e1 e2 e3 e4", stored(f))
}

// TestOneWrongEvent refuses no other, and costs few requests.
func TestOneWrongEvent(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	var sent atomic.Int32
	b := on(t, f, requests(func(_ int, r *pb.PublishRequest) error {
		sent.Add(1)
		for _, m := range r.GetMessages() {
			if m.GetAttributes()["ce-id"] == "e300" {
				return status.Error(codes.InvalidArgument, "e300 is wrong")
			}
		}
		return nil
	}))
	require.NoError(t, b.Declare(t.Context(), billing()))
	p := publish(t, b, 1000)
	p.all.Wait()
	for i := range 1000 {
		if i == 300 {
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(p.errs[i]))
		} else {
			require.NoError(t, p.errs[i], i)
		}
	}
	t.Logf("%d requests", sent.Load())
	assert.Less(t, sent.Load(), int32(50))
}

// TestWhatWasRefusedIsNotUnknown: the events of a request that was refused as a whole are stored
// nowhere, while they wait to go again.
func TestWhatWasRefusedIsNotUnknown(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{CloseTimeout: time.Second})
	require.NoError(t, b.Declare(t.Context(), billing()))
	var calls atomic.Int32
	again := make(chan struct{})
	f.Break("Publish", func(ctx context.Context) error {
		if calls.Add(1) == 1 {
			return status.Error(codes.InvalidArgument, "one of them is wrong")
		}
		close(again)
		<-ctx.Done()
		return ctx.Err()
	})
	p := publish(t, b, 3)
	<-again
	require.NoError(t, b.Close())
	p.all.Wait()
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(p.errs[0]))
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(p.errs[1]))
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(p.errs[2]))
}

// TestWhatWasNotSentIsNotUnknown, although the outcome of another request is.
func TestWhatWasNotSentIsNotUnknown(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{CloseTimeout: time.Second})
	require.NoError(t, b.Declare(t.Context(), billing()))
	var calls atomic.Int32
	began := make(chan struct{})
	f.Break("Publish", func(ctx context.Context) error {
		if calls.Add(1) == 1 {
			return status.Error(codes.Unavailable, "as the test says")
		}
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})
	p := publish(t, b, 1)
	p.all.Wait()
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(p.errs[0]))
	publish(t, b, 1)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	behind := event(t, &leat.EventOptions{Key: "k"})
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(leat.NewProducer(b, nil).Publish(ctx, "orders", behind)))
}

// TestHealthAfterAnOutage is well, although nothing was published since.
func TestHealthAfterAnOutage(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	proxy, err := eventtest.StartProxy(f.Addr())
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	proxy.Refuse()
	var log brokertest.Logbook
	b, err := gcppubsub.New(&gcppubsub.Options{Project: project, Endpoint: "http://" + proxy.Addr(), Logger: log.Logger()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = leat.NewProducer(b, nil).Publish(ctx, "orders", event(t, &leat.EventOptions{}))
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
	require.Error(t, b.Health())
	proxy.Admit()
	require.Eventually(t, func() bool { return b.Health() == nil }, brokertest.Patience, time.Millisecond)
	assert.Len(t, log.With(`INFO msg="publishing to Pub/Sub works again"`), 1)
}

// TestHealthForgetsAnOutcome: that one was unknown says nothing of the next, for long.
func TestHealthForgetsAnOutcome(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{})
	f.Break("Publish", says(codes.Unavailable))
	publish(t, b, 1).all.Wait()
	require.Error(t, b.Health())
	require.Eventually(t, func() bool { return b.Health() == nil }, brokertest.Patience, time.Millisecond)
}

// TestTopicThatRefuses costs one request for all events that wait, and one whose quota is used up
// is not asked again at once.
func TestTopicThatRefuses(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]leat.Code{
		codes.FailedPrecondition: leat.CodeInvalid, codes.OutOfRange: leat.CodeInvalid, codes.PermissionDenied: leat.CodePermissionDenied,
	} {
		f := startFake(t)
		b := on(t, f, gcppubsub.Options{})
		require.NoError(t, b.Declare(t.Context(), billing()))
		var calls atomic.Int32
		f.Break("Publish", func(context.Context) error {
			calls.Add(1)
			return status.Error(code, "the topic refuses")
		})
		p := publish(t, b, 1000)
		p.all.Wait()
		assert.Equal(t, int32(1), calls.Load(), code)
		assert.Equal(t, want, leat.CodeOf(p.errs[999]), code)
	}
}

// TestQuotaThatIsUsedUp: requests pause.
func TestQuotaThatIsUsedUp(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{Requests: 1})
	require.NoError(t, b.Declare(t.Context(), billing()))
	f.Break("Publish", says(codes.ResourceExhausted))
	began := time.Now()
	p := publish(t, b, 3000)
	p.all.Wait()
	for i, err := range p.errs {
		assert.Equal(t, leat.CodeExhausted, leat.CodeOf(err), i)
	}
	assert.GreaterOrEqual(t, time.Since(began), 150*time.Millisecond, "two pauses between three requests")
}

// tokens are credentials without a token, until there is one.
type tokens struct{ there atomic.Bool }

func (c *tokens) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if !c.there.Load() {
		return nil, errors.New("oauth2: cannot fetch token: /etc/s3cret.json")
	}
	return map[string]string{"authorization": "Bearer x"}, nil
}

func (*tokens) RequireTransportSecurity() bool { return false }

// TestNoToken: events wait for one, and nothing shows the text of the credentials.
func TestNoToken(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	var log brokertest.Logbook
	c := &tokens{}
	c.there.Store(true)
	b := on(t, f, gcppubsub.Options{Logger: log.Logger(), ClientOptions: []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithPerRPCCredentials(c)),
	}})
	s, err := b.Subscribe(t.Context(), billing())
	require.NoError(t, err)
	stream, _ := s.(leat.HealthReporter)
	c.there.Store(false)
	p := publish(t, b, 1)
	var health error
	require.Eventually(t, func() bool {
		health = b.Health()
		return health != nil
	}, brokertest.Patience, time.Millisecond)
	_, failed := b.Lag(t.Context(), "orders", "billing")
	for _, err := range []error{health, failed} {
		assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "application default credentials")
		assert.NotContains(t, err.Error(), "s3cret")
	}
	for range 50 { // also while it is being tried
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		err = leat.NewProducer(b, nil).Publish(ctx, "orders", event(t, &leat.EventOptions{Key: "k"}))
		cancel()
		assert.NotContains(t, err.Error(), "s3cret")
		// The latter where ctx had ended when the publish began.
		assert.Contains(t, []leat.Code{leat.CodeUnauthenticated, leat.CodeCanceled}, leat.CodeOf(err), "%v", err)
	}
	c.there.Store(true)
	p.all.Wait()
	require.NoError(t, p.errs[0])
	require.Eventually(t, func() bool { return stream.Health() == nil }, brokertest.Patience, time.Millisecond)
	assert.Empty(t, log.With("s3cret"))
}

// TestProbeWithoutAnAnswer: the question why there is no connection has a bound.
func TestProbeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	b, err := gcppubsub.New(&gcppubsub.Options{
		Project: project, Endpoint: "http://" + l.Addr().String(), RequestTimeout: 100 * time.Millisecond, CloseTimeout: time.Second,
		ClientOptions: []option.ClientOption{option.WithGRPCDialOption(grpc.WithUnaryInterceptor(func(
			ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption,
		) error {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}))},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	publish(t, b, 1)
	require.Eventually(t, func() bool { return b.Health() != nil }, 5*time.Second, time.Millisecond)
}
