package awssnssqs

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/options"
)

// Broker publishes to Amazon SNS or SQS and consumes from SQS. It is safe for concurrent use.
type Broker struct {
	o            Options
	sqs          *sqs.Client // does not retry
	sns          *sns.Client // likewise
	toSQS, toSNS service
	credentials  aws.CredentialsProvider // of who publishes; may be nil
	life         lifecycle.Life[*Stream]
	publisher    *publisher
	urls         lifecycle.Memo[string, string] // of the queues of topics, in ModeSQS
	declared     lifecycle.Memo[planID, struct{}]
	account      atomic.Pointer[string] // what the ARNs of its topics begin with
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
	_ leat.Withdrawer     = (*Broker)(nil)
)

// New returns a Broker. It reads the SDK's configuration and does not connect. The error is an
// [*leat.Error] with [leat.CodeInvalid].
func New(o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults()}
	b.life.Broker = "the SNS and SQS broker"
	if err := b.o.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	c, err := b.config()
	if err != nil {
		return nil, options.Invalid(err)
	}
	b.toSQS, b.toSNS = b.service(&c), b.service(&c)
	b.sqs = sqs.NewFromConfig(b.toSQS.config(c), func(s *sqs.Options) {
		s.Retryer, s.DisableMessageChecksumValidation = aws.NopRetryer{}, true // TLS has its own
		if b.o.Endpoint != "" {
			s.BaseEndpoint = &b.o.Endpoint
		}
	})
	b.sns = sns.NewFromConfig(b.toSNS.config(c), func(s *sns.Options) {
		s.Retryer = aws.NopRetryer{}
		if b.o.Endpoint != "" {
			s.BaseEndpoint = &b.o.Endpoint
		}
	})
	if b.credentials = b.sns.Options().Credentials; b.o.Mode == ModeSQS {
		b.credentials = b.sqs.Options().Credentials
	}
	b.publisher = newPublisher(b)
	return b, nil
}

// config returns the SDK's configuration.
func (b *Broker) config() (aws.Config, error) {
	c, err := b.load()
	if err != nil {
		return c, err
	}
	if b.o.Region != "" {
		c.Region = b.o.Region
	}
	if c.Region == "" {
		return c, options.Reason("no region; set Options.Region (region=), AWS_REGION, or the region of the shared configuration")
	}
	return c, nil
}

// service is the connections to SNS or to SQS. They are two hosts, of which one may be down.
type service struct {
	dialer    *dialer
	transport *http.Transport // nil where the application has a client of its own
}

// service returns one with a transport of the adapter, unless the application has a client: the
// SDK's own client keeps too few connections, and leaves them behind.
func (b *Broker) service(c *aws.Config) service {
	s := service{dialer: newDialer(b.o.DialTimeout, &b.life.Tasks)}
	if made, ok := c.HTTPClient.(*awshttp.BuildableClient); ok || c.HTTPClient == nil {
		if made == nil {
			made = b.client()
		}
		s.transport = made.GetTransport() // a copy
		s.transport.DialContext = s.dialer.DialContext
	}
	return s
}

// config returns c with the client of the service.
func (s *service) config(c aws.Config) aws.Config {
	if s.transport != nil {
		c.HTTPClient = &http.Client{Transport: s.transport}
	}
	return c
}

// do calls f, which sends a request. An error before the request had a connection is an unsent one.
// Where the time of the request was over while it waited for its connection, and not for
// credentials, do tells the dialer, so that [dialer.reachable] tries the next connection first. A
// client of the application may not tell any of this.
func (s *service) do(ctx context.Context, f func(ctx context.Context) error) error {
	if s.transport == nil {
		return f(ctx)
	}
	var waits, connected atomic.Bool
	err := f(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { waits.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	if err == nil || connected.Load() {
		return err
	}
	if waits.Load() {
		s.dialer.overdue(ctx.Err())
	}
	return &unsent{err}
}

// login sees to it that the SDK has credentials to publish with. It keeps them until they expire.
func (b *Broker) login(ctx context.Context) error {
	if b.credentials == nil {
		return nil
	}
	if _, err := b.credentials.Retrieve(ctx); err != nil {
		return &unsent{&smithy.OperationError{ServiceID: "AWS", OperationName: "login", Err: fmt.Errorf("get identity: %w", err)}}
	}
	return nil
}

func (s *service) close() {
	s.dialer.end()
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
}

func (b *Broker) load() (aws.Config, error) {
	if b.o.Config != nil {
		return b.o.Config.Copy(), nil
	}
	// The SDK adds the certificates of AWS_CA_BUNDLE, and takes no other type of client for that.
	c, err := config.LoadDefaultConfig(context.Background(), config.WithHTTPClient(b.client()))
	if err != nil {
		return c, options.Reason("the AWS SDK cannot read its configuration; check the shared files, AWS_PROFILE and AWS_CA_BUNDLE")
	}
	return c, nil
}

// client keeps as many connections as a broker with a few streams has requests at a time.
func (b *Broker) client() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, b.o.Lanes+8*b.o.Pollers
		t.TLSHandshakeTimeout = b.o.DialTimeout
	})
}

// System implements [leat.SystemNamer].
func (b *Broker) System() string { return "aws_sqs" }

// Limits returns the largest event whose JSON fits into [Options].MaxMessageBytes in any case.
func (b *Broker) Limits() leat.Limits { return leat.Limits{MaxEventBytes: b.o.mostEventBytes()} }

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
		b.toSQS.close()
		b.toSNS.close()
	})
	return nil
}

func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return lifecycle.Bounded(ctx, b.o.RequestTimeout)
}
