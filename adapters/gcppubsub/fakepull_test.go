package gcppubsub_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// The streaming pulls of the fake are made of its unary pulls. Its own hand out less than 100
// messages a second, count nothing that a client has, go on when their subscription is deleted, and
// hold the lock of the whole fake while they answer a ping, so that a client which reads nothing
// would stop every other.

const (
	// longestSilence is after which the server takes a client for dead that sends no pings.
	longestSilence = 5 * time.Second
	// look is how often a pull looks for messages whose deadline is over.
	look = 10 * time.Millisecond
	// mostOfPull is how many messages a response has at most.
	mostOfPull = 100
)

// pull is one streaming pull, after its first request.
func (f *fake) pull(s grpc.ServerStream, first *pb.StreamingPullRequest) error {
	p := &fakePull{ServerStream: s, heard: time.Now()}
	heard, sent, stop := make(chan error, 1), make(chan error, 1), make(chan struct{})
	go func() { heard <- p.listen() }()
	go func() { sent <- f.deliver(p, first, stop) }()
	tick := time.NewTicker(longestSilence / 10)
	defer tick.Stop()
	for {
		select {
		case err := <-heard:
			if err != nil {
				return err
			}
			close(stop)
			return <-sent // what is lent still goes out
		case err := <-sent:
			return err
		case err := <-f.ends:
			close(stop)
			return cmp.Or(<-sent, err)
		case <-tick.C:
			if p.silent() {
				return status.Error(codes.Unavailable, "the client is silent")
			}
		}
	}
}

// EndPull ends a pull, as Pub/Sub does from time to time.
func (f *fake) EndPull() {
	f.ends <- status.Error(codes.Unavailable, "the server closes it to reassign resources")
}

// deliver delivers until the pull ends.
func (f *fake) deliver(p *fakePull, first *pb.StreamingPullRequest, stop <-chan struct{}) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		moved := f.loans.moved()
		if err := f.hand(p, first); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-p.Context().Done():
			return p.Context().Err()
		case <-moved:
		case <-tick.C:
		}
	}
}

// hand hands out what the client has room for.
func (f *fake) hand(p *fakePull, first *pb.StreamingPullRequest) error {
	name, n := first.GetSubscription(), mostOfPull
	if most := int(first.GetMaxOutstandingMessages()); most > 0 {
		n = min(n, most-f.loans.count(name, p))
	}
	is, err := f.GServer.GetSubscription(p.Context(), &pb.GetSubscriptionRequest{Subscription: name})
	if err != nil || n <= 0 {
		return err
	}
	got, err := f.GServer.Pull(p.Context(), &pb.PullRequest{
		Subscription: name, MaxMessages: int32(n), ReturnImmediately: true, //nolint:staticcheck // the stream waits itself
	})
	if err != nil || len(got.GetReceivedMessages()) == 0 {
		return err
	}
	r := &pb.StreamingPullResponse{SubscriptionProperties: &pb.StreamingPullResponse_SubscriptionProperties{
		MessageOrderingEnabled: is.GetEnableMessageOrdering(), ExactlyOnceDeliveryEnabled: is.GetEnableExactlyOnceDelivery(),
	}}
	for _, m := range got.GetReceivedMessages() {
		r.ReceivedMessages = append(r.ReceivedMessages, proto.CloneOf(m)) // the fake goes on to use its own
	}
	f.loans.lend(name, p, r.GetReceivedMessages(), time.Duration(max(is.GetAckDeadlineSeconds(), 10))*time.Second)
	return p.SendMsg(r)
}

// settle passes on what a client says about messages: that they are finished, or what deadline they
// get from now on. With exactly-once delivery it refuses what the client does not have any more, as
// Pub/Sub does.
func (f *fake) settle(ctx context.Context, name string, ids *[]string, term time.Duration, pass func() (any, error)) (any, error) {
	is, err := f.GServer.GetSubscription(ctx, &pb.GetSubscriptionRequest{Subscription: name})
	if err != nil {
		return nil, err
	}
	held, lost := f.loans.divide(name, *ids)
	if is.GetEnableExactlyOnceDelivery() {
		*ids = held
	}
	answer, err := pass()
	if err != nil {
		return nil, err
	}
	f.loans.settle(name, held, term)
	if len(lost) == 0 || !is.GetEnableExactlyOnceDelivery() {
		return answer, nil
	}
	what := &errdetails.ErrorInfo{Metadata: map[string]string{}}
	for _, id := range lost {
		what.Metadata[id] = "PERMANENT_FAILURE_INVALID_ACK_ID"
	}
	refusal, err := status.New(codes.FailedPrecondition, "some ack ids are invalid").WithDetails(what)
	if err != nil {
		return nil, err
	}
	return nil, refusal.Err()
}

// Expire takes away what the streams of a subscription hold, as if their deadlines had passed, and
// delivers it again when they know it: watch has seen that they were refused, or their own clocks
// have ended.
func (f *fake) Expire(ctx context.Context, name string) error {
	const longest = 600
	ids, term := f.loans.revoke(name)
	deadline := func(seconds int32) error {
		_, err := f.GServer.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{Subscription: name, AckIds: ids, AckDeadlineSeconds: seconds})
		return err
	}
	if err := deadline(longest); err != nil {
		return err
	}
	over := time.NewTimer(term)
	defer over.Stop()
	for known := false; !known && !f.loans.refused(name, ids); {
		moved := f.loans.moved()
		select {
		case <-moved:
		case <-over.C:
			known = true
		case <-ctx.Done():
			known = true
		}
	}
	f.loans.settle(name, ids, 0)
	ctx = context.WithoutCancel(ctx)
	return errors.Join(deadline(0), ctx.Err())
}

// watch sees, in a client, which messages it has lost.
func (f *fake) watch(
	ctx context.Context, method string, r, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption,
) error {
	err := invoke(ctx, method, r, answer, conn, o...)
	if s, ok := status.FromError(err); ok {
		for _, detail := range s.Details() {
			if what, ok := detail.(*errdetails.ErrorInfo); ok {
				f.loans.refuse(what.GetMetadata())
			}
		}
	}
	return err
}

// fakePull is a streaming pull.
type fakePull struct {
	grpc.ServerStream

	sending sync.Mutex
	mu      sync.Mutex
	heard   time.Time
}

// listen answers pings until the client sends nothing more.
func (p *fakePull) listen() error {
	for {
		if err := p.RecvMsg(&pb.StreamingPullRequest{}); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		p.mu.Lock()
		p.heard = time.Now()
		p.mu.Unlock()
		if err := p.SendMsg(&pb.StreamingPullResponse{}); err != nil {
			return err
		}
	}
}

func (p *fakePull) SendMsg(m any) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	return p.ServerStream.SendMsg(m)
}

func (p *fakePull) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.heard) > longestSilence
}
