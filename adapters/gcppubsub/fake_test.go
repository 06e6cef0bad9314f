package gcppubsub_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fake is the fake of Google's module, behind a server of the test.
type fake struct {
	*pstest.Server

	address string
	loans   loans
	ends    chan error   // ends a pull
	pulls   atomic.Int32 // that were opened
	mu      sync.Mutex
	faults  []*fault
	seek    func(r *pb.SeekRequest)
}

// fault is what a call gets in place of an answer.
type fault struct {
	method string // the end of its name
	answer func(ctx context.Context) error
}

func startFake(t *testing.T, o ...grpc.ServerOption) *fake {
	t.Helper()
	f := &fake{Server: pstest.NewServerWithAddress("127.0.0.1:0"), ends: make(chan error)}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.address = l.Addr().String()
	s := grpc.NewServer(append(o, grpc.MaxRecvMsgSize(20<<20), grpc.UnaryInterceptor(f.call), grpc.StreamInterceptor(f.stream))...)
	pb.RegisterPublisherServer(s, &f.GServer)
	pb.RegisterSubscriberServer(s, &f.GServer)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		_ = f.Close()
	})
	return f
}

// Addr is where the server listens.
func (f *fake) Addr() string { return f.address }

// Publish publishes a message past the adapter.
func (f *fake) Publish(ctx context.Context, topic string, m *pb.PubsubMessage) error {
	_, err := f.GServer.Publish(ctx, &pb.PublishRequest{Topic: topic, Messages: []*pb.PubsubMessage{m}})
	return err
}

// Break lets calls whose names end with method fail until repair is called.
func (f *fake) Break(method string, answer func(ctx context.Context) error) (repair func()) {
	b := &fault{method, answer}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, b)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		b.method = "-"
	}
}

// OnSeek calls see for every request to seek, before it is answered.
func (f *fake) OnSeek(see func(r *pb.SeekRequest)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seek = see
}

// says answers with a code of gRPC.
func says(c codes.Code) func(ctx context.Context) error {
	return func(context.Context) error { return status.Error(c, "as the test says") }
}

func (f *fake) broken(ctx context.Context, method string) error {
	f.mu.Lock()
	var answer func(ctx context.Context) error
	for _, b := range f.faults {
		if "/"+b.method == method[len(method)-len(b.method)-1:] {
			answer = b.answer
		}
	}
	f.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx)
}

func (f *fake) call(ctx context.Context, r any, i *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	if err := f.broken(ctx, i.FullMethod); err != nil {
		return nil, err
	}
	defer f.loans.move()
	switch r := r.(type) {
	case *pb.SeekRequest:
		f.mu.Lock()
		see := f.seek
		f.mu.Unlock()
		if see != nil {
			see(r)
		}
	case *pb.AcknowledgeRequest:
		return f.settle(ctx, r.GetSubscription(), &r.AckIds, 0, func() (any, error) { return h(ctx, r) })
	case *pb.ModifyAckDeadlineRequest:
		term := time.Duration(r.GetAckDeadlineSeconds()) * time.Second
		return f.settle(ctx, r.GetSubscription(), &r.AckIds, term, func() (any, error) { return h(ctx, r) })
	}
	return h(ctx, r)
}

func (f *fake) stream(_ any, s grpc.ServerStream, i *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
	if err := f.broken(s.Context(), i.FullMethod); err != nil {
		return err
	}
	first := &pb.StreamingPullRequest{}
	if err := s.RecvMsg(first); err != nil {
		return err
	}
	f.pulls.Add(1)
	return f.pull(s, first)
}
