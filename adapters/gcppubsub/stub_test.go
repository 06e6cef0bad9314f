package gcppubsub_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// stub is a Pub/Sub whose pulls and settlements are those of a test.
type stub struct {
	pb.UnimplementedPublisherServer
	pb.UnimplementedSubscriberServer

	// pull is one streaming pull, after its first request. Its end ends the pull.
	pull func(s *pulling, first *pb.StreamingPullRequest) error
	// settle is told of acks, with a deadline of -1, and of new deadlines. Nil takes all.
	settle func(ids []string, deadline int32) error
	// call is told of calls that extend nothing. It may be nil.
	call func()
}

// pulling is a streaming pull.
type pulling struct {
	pb.Subscriber_StreamingPullServer

	pings  chan struct{}
	closed chan struct{} // when the client sends nothing more
}

// startStub starts a stub and a stream of it, which the end of the test closes.
func startStub(t *testing.T, f *stub, sub leat.Subscription, o gcppubsub.Options) leat.Stream {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pb.RegisterPublisherServer(server, f)
	pb.RegisterSubscriberServer(server, stubSubscriber{f})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	o.Project, o.Endpoint, o.AckDeadline, o.CloseTimeout = project, "http://"+l.Addr().String(), 10*time.Second, time.Second
	b, err := gcppubsub.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	return s
}

func (f *stub) GetTopic(_ context.Context, r *pb.GetTopicRequest) (*pb.Topic, error) {
	return &pb.Topic{Name: r.GetTopic()}, nil
}

func (f *stub) GetSubscription(_ context.Context, r *pb.GetSubscriptionRequest) (*pb.Subscription, error) {
	return &pb.Subscription{Name: r.GetSubscription(), Topic: topicPath, EnableMessageOrdering: true}, nil
}

// stubSubscriber has the calls that are empty messages in Go.
type stubSubscriber struct{ *stub }

func (f stubSubscriber) Acknowledge(_ context.Context, r *pb.AcknowledgeRequest) (*emptypb.Empty, error) {
	return f.settled(r.GetAckIds(), -1)
}

func (f stubSubscriber) ModifyAckDeadline(_ context.Context, r *pb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	return f.settled(r.GetAckIds(), r.GetAckDeadlineSeconds())
}

func (f stubSubscriber) settled(ids []string, deadline int32) (*emptypb.Empty, error) {
	if len(ids) == 0 && f.call != nil {
		f.call()
	}
	if f.settle != nil && len(ids) > 0 {
		if err := f.settle(ids, deadline); err != nil {
			return nil, err
		}
	}
	return &emptypb.Empty{}, nil
}

func (f stubSubscriber) StreamingPull(s pb.Subscriber_StreamingPullServer) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	p := &pulling{s, make(chan struct{}, 100), make(chan struct{})}
	go func() {
		defer close(p.closed)
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
			p.pings <- struct{}{}
		}
	}()
	return f.pull(p, first)
}

// deliver sends messages.
func (p *pulling) deliver(messages ...*pb.ReceivedMessage) error {
	return p.Send(&pb.StreamingPullResponse{ReceivedMessages: messages})
}

// pong answers a ping.
func (p *pulling) pong() error { return p.Send(&pb.StreamingPullResponse{}) }

// serve answers pings until the client ends the pull, or over is closed.
func (p *pulling) serve(over <-chan struct{}) error {
	for {
		select {
		case <-p.pings:
			if err := p.pong(); err != nil {
				return err
			}
		case <-p.closed:
			return nil
		case <-over:
			return nil
		case <-p.Context().Done():
			return errors.New("canceled")
		}
	}
}

// message is an event in binary mode.
func message(ackID, id, key string) *pb.ReceivedMessage {
	return &pb.ReceivedMessage{AckId: ackID, Message: &pb.PubsubMessage{
		MessageId: id, OrderingKey: key, Data: []byte("d"),
		Attributes: map[string]string{"ce-specversion": "1.0", "ce-id": id, "ce-source": "/o", "ce-type": "t"},
	}}
}
