package gcppubsub

import (
	"context"
	"sync/atomic"

	vkit "cloud.google.com/go/pubsub/v2/apiv1"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/options"
)

// Broker publishes to Pub/Sub and consumes from it. It is safe for concurrent use.
type Broker struct {
	o             Options
	topics        *vkit.TopicAdminClient        // does not retry
	subscriptions *vkit.SubscriptionAdminClient // likewise, over another connection
	outlets       outlets                       // of streaming pulls
	life          lifecycle.Life[*Stream]
	publisher     *publisher
	answers       atomic.Bool // the server answers pings
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
	_ leat.Withdrawer     = (*Broker)(nil)
)

// New returns a Broker. It finds credentials, and does not wait for a connection. The error is an
// [*leat.Error] with [leat.CodeInvalid], or with [leat.CodeUnauthenticated] where there are no
// credentials.
func New(o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults()}
	b.outlets.o = &b.o
	b.life.Broker = "the Pub/Sub broker"
	if err := b.o.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	ctx, publishing := context.Background(), new(link)
	var err error
	if b.topics, err = vkit.NewTopicAdminClient(ctx, publishing.options(&b.o)...); err != nil {
		return nil, errCredentials()
	}
	if b.subscriptions, err = newSubscriptions(&b.o); err != nil {
		_ = b.topics.Close()
		return nil, err
	}
	if b.topics.Connection() == b.subscriptions.Connection() { //nolint:staticcheck // pools of one connection
		return nil, options.Invalid(errConnection)
	}
	// What fails is repeated by whoever knows the deadline, and what may be stored is not.
	*b.topics.CallOptions = vkit.TopicAdminCallOptions{}
	publishing.conn = b.topics.Connection() //nolint:staticcheck // a pool of one connection
	b.publisher = newPublisher(b, publishing)
	return b, nil
}

// errCredentials does not quote the client: its text has paths and pieces of files.
func errCredentials() error {
	return &leat.Error{Code: leat.CodeUnauthenticated, Err: options.Reason("no client with these options: set up application default " +
		"credentials, such as GOOGLE_APPLICATION_CREDENTIALS, or give others by Options.ClientOptions; an emulator needs none")}
}

var errConnection = options.Reason("Options.ClientOptions have a connection (option.WithGRPCConn); leave it out, the broker makes " +
	"several of its own")

// System implements [leat.SystemNamer].
func (b *Broker) System() string { return "gcp_pubsub" }

// Limits returns the largest event of Leat, which fits into a message of Pub/Sub in any mode.
func (b *Broker) Limits() leat.Limits { return leat.Limits{MaxEventBytes: mostEventBytes} }

// Health returns nil, or an [*leat.Error] that says what is wrong with publishing. What concerns
// one stream is in [Stream.Health].
func (b *Broker) Health() error {
	if err := b.life.Closed("health", ""); err != nil {
		return err
	}
	return b.publisher.health()
}

// Close closes the streams and waits for the answers to publishes that are under way, all within
// [Options].CloseTimeout. Publishes without an answer by then are reported as unknown.
func (b *Broker) Close() error {
	b.life.Close(b.o.CloseTimeout, b.publisher.close, func([]*Stream) {
		_ = b.topics.Close()
		_ = b.subscriptions.Close()
		b.outlets.close()
	})
	return nil
}

func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return lifecycle.Bounded(ctx, b.o.RequestTimeout)
}
