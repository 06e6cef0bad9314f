package gcppubsub

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// dialEvery is how often a link connects at most.
	dialEvery = time.Second
	// mostReceived is the largest response.
	mostReceived = 20 << 20
)

// link is a connection of the client, which connects again by itself.
type link struct {
	conn    *grpc.ClientConn
	timeout time.Duration // of a request

	mu   sync.Mutex
	last time.Time // when an attempt began
}

// options returns the options of the client of a link. Those of the application come first, since
// the adapter relies on the others.
func (l *link) options(o *Options) []option.ClientOption {
	l.timeout = o.RequestTimeout
	all := append(slices.Clone(o.ClientOptions),
		option.WithGRPCConnectionPool(1),
		option.WithGRPCDialOption(grpc.WithContextDialer(l.connect)),
		option.WithGRPCDialOption(grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: dialEvery, Multiplier: 1, MaxDelay: dialEvery}, MinConnectTimeout: o.DialTimeout,
		})),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 5 * time.Minute})),
		option.WithGRPCDialOption(grpc.WithPerRPCCredentials(gate{})),
	)
	if address := o.address(); address != "" {
		all = append(all, option.WithEndpoint(address))
	}
	if _, plain := o.plaintext(); plain {
		all = append(all, option.WithoutAuthentication(), option.WithTelemetryDisabled(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	return all
}

// connect makes a connection, at most one a second: one that ends at once would be made again at
// once otherwise.
func (l *link) connect(ctx context.Context, address string) (net.Conn, error) {
	l.mu.Lock()
	wait := time.Until(l.last.Add(dialEvery))
	l.mu.Unlock()
	if !lifecycle.Sleep(ctx, wait) {
		return nil, ctx.Err()
	}
	l.mu.Lock()
	l.last = time.Now()
	l.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

var errShutdown = errors.New("the connection is closed")

// ready waits for a connection while one is being made. It returns why there is none.
func (l *link) ready(ctx context.Context) error {
	for {
		state := l.conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Idle:
			l.conn.Connect()
		case connectivity.Shutdown:
			return errShutdown
		case connectivity.TransientFailure:
			return l.why(ctx)
		case connectivity.Connecting:
		}
		if !l.conn.WaitForStateChange(ctx, state) {
			return context.Cause(ctx)
		}
	}
}

// why returns what is wrong with a connection that could not be made. The client tells that to
// whoever calls, and sends nothing then. If there is a connection by now, the server refuses the
// call, which says no topic.
func (l *link) why(ctx context.Context) error {
	ctx, cancel := lifecycle.Bounded(ctx, l.timeout)
	defer cancel()
	_, err := pb.NewPublisherClient(l.conn).GetTopic(ctx, &pb.GetTopicRequest{})
	if l.conn.GetState() == connectivity.Ready {
		return nil
	}
	return err
}
