// Package cases has the groups of cases that are measured on an SQS: what Leat does, and what calls
// of the AWS SDK do with the same work.
package cases

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const (
	shortEvents = 200    // how many events a case takes in a smoke test
	roundEvents = 10_000 // and otherwise
	mostEvents  = 20_000
	inFlight    = 1_000 // of all consumers
	group       = "group"

	// What both parties have at a time, as Leat has by default: requests that publish, that ask for
	// messages, and that delete them.
	publishers, pollers, deleters = 16, 8, 8

	entries = 10 // in a request, which is the most that SQS takes
)

// Servers are the URLs of what is measured on.
type Servers struct {
	// Publish is for the cases that publish.
	Publish string
	// Consume is for those that consume. An ElasticMQ takes minutes for thousands of messages that
	// were published before.
	Consume string
}

// Env is what the cases share.
type Env struct {
	publishing, consuming *service
	names                 *load.Names
	serial                atomic.Int64
}

// service is an SQS that is measured on.
type service struct {
	endpoint  string
	transport *http.Transport // of the raw parties, and for set-ups
	sqs       *sqs.Client
}

// NewEnv returns an Env on the servers. Short is for smoke tests.
func NewEnv(servers Servers, short bool) *Env {
	events := mostEvents
	if short {
		events = 2 * shortEvents
	}
	return &Env{
		publishing: newService(servers.Publish), consuming: newService(servers.Consume), names: load.NewNames(events),
	}
}

func newService(endpoint string) *service {
	s := &service{endpoint: endpoint, transport: &http.Transport{MaxIdleConnsPerHost: publishers + pollers + deleters}}
	s.sqs = sqs.NewFromConfig(s.config(&http.Client{Transport: s.transport}))
	return s
}

// config is what both parties give to the SDK: no retries, and credentials that a local server
// takes.
func (s *service) config(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.endpoint, HTTPClient: client, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

// Close ends the connections.
func (e *Env) Close() {
	e.publishing.transport.CloseIdleConnections()
	e.consuming.transport.CloseIdleConnections()
}

// All returns every group, in the order of the report.
func (e *Env) All() []bench.Group {
	return []bench.Group{
		e.publish("publish/fifo", true), e.publish("publish/standard", false),
		e.consume("consume/fifo", true), e.consume("consume/standard", false), e.sleeping(),
	}
}

// queue is a queue of one case.
type queue struct {
	*service

	env  *Env
	sub  leat.Subscription
	url  string
	fifo bool
}

// queue makes a queue that no other case of the run has, as Leat does, for all parties.
func (e *Env) queue(ctx context.Context, s *service, fifo bool) (q *queue, err error) {
	q = &queue{service: s, env: e, fifo: fifo}
	q.sub = leat.Subscription{
		Topic: fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), e.serial.Add(1)), Group: group, Unordered: !fifo,
	}
	b, err := s.leat(fifo)
	if err != nil {
		return nil, err
	}
	defer b.Close() //nolint:errcheck // Declare tells
	if err := b.Declare(ctx, q.sub); err != nil {
		return nil, err
	}
	name := q.sub.Topic
	if fifo {
		name += ".fifo"
	}
	found, err := s.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return nil, err
	}
	q.url = *found.QueueUrl
	return q, nil
}

// leat returns Leat's broker, whose topics are queues.
func (s *service) leat(fifo bool) (*awssnssqs.Broker, error) {
	c := s.config(nil)
	return awssnssqs.New(&awssnssqs.Options{
		Mode: awssnssqs.ModeSQS, Standard: !fifo, Config: &c, Buffer: load.InFlight, Lanes: publishers, Pollers: pollers, Wait: time.Second,
	})
}

func (q *queue) stored(ctx context.Context, _ int64) (int64, error) {
	const waiting = types.QueueAttributeNameApproximateNumberOfMessages
	has, err := q.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{waiting},
	})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(has.Attributes[string(waiting)], 10, 64)
}

func (q *queue) remove(ctx context.Context) error {
	_, err := q.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &q.url})
	return err
}
