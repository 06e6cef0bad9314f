package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/leatgo/leat/internal/brokertest"
)

const logLines = 40

// kind is a kind of broker.
type kind struct {
	name, flag, variable string

	get func(ctx context.Context, progress func(string)) error
	run func(ctx context.Context) (*shared, error)

	// keep makes a broker in a folder, or opens the one that is there already; open only does the
	// latter.
	keep func(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error)
	open func(ctx context.Context, dir string) (*kept, error)
}

// shared is a broker that runs beside a command.
type shared struct {
	value   string // of the variable
	process *brokertest.Process
	close   func() error
}

func kinds() []kind {
	return []kind{
		{name: "Kafka", flag: "kafka", variable: brokertest.KafkaVariable, get: brokertest.GetKafka,
			run: func(ctx context.Context) (*shared, error) {
				c, err := brokertest.RunKafka(ctx, nil)
				if err != nil {
					return nil, err
				}
				return &shared{clusterValue(c), c.Node(1), c.Close}, nil
			}, keep: keepKafka, open: openKafka},
		{name: "RabbitMQ", flag: "rabbitmq", variable: brokertest.RabbitMQVariable, get: brokertest.GetRabbitMQ,
			run: func(ctx context.Context) (*shared, error) {
				n, err := brokertest.RunRabbitMQ(ctx, nil)
				if err != nil {
					return nil, err
				}
				return &shared{rabbitValue(n), n.Process, n.Close}, nil
			}, keep: keepRabbitMQ, open: openRabbitMQ},
		{name: "NATS", flag: "nats", variable: brokertest.NATSVariable, get: brokertest.GetNATS,
			run: func(ctx context.Context) (*shared, error) {
				c, err := brokertest.RunNATS(ctx, nil)
				if err != nil {
					return nil, err
				}
				return &shared{clusterValue(c), c.Node(1), c.Close}, nil
			}, keep: keepNATS, open: openNATS},
		{name: "LocalStack", flag: "localstack", variable: brokertest.LocalStackVariable, get: brokertest.GetLocalStack,
			run: func(ctx context.Context) (*shared, error) {
				return sharedAWS(brokertest.RunLocalStack(ctx, nil))
			}, keep: keepLocalStack, open: openLocalStack},
		{name: "ElasticMQ", flag: "elasticmq", variable: brokertest.ElasticMQVariable, get: brokertest.GetElasticMQ,
			run: func(ctx context.Context) (*shared, error) {
				return sharedAWS(brokertest.RunElasticMQ(ctx, nil))
			}, keep: keepElasticMQ, open: openElasticMQ},
		{name: "Pub/Sub emulator", flag: "pubsub", variable: brokertest.PubSubVariable, get: brokertest.GetPubSub,
			run: func(ctx context.Context) (*shared, error) {
				s, err := brokertest.RunPubSub(ctx, nil)
				if err != nil {
					return nil, err
				}
				return &shared{s.Addr(), s.Process, s.Close}, nil
			}, keep: keepPubSub, open: openPubSub},
	}
}

func sharedAWS(s *brokertest.AWSServer, err error) (*shared, error) {
	if err != nil {
		return nil, err
	}
	return &shared{s.URL(), s.Process, s.Close}, nil
}

func clusterValue(c interface{ Addrs() []string }) string { return strings.Join(c.Addrs(), ",") }

func rabbitValue(n *brokertest.RabbitMQNode) string { return n.URL() + "," + n.ManagementURL() }

// get fetches all kinds of brokers, and Apicurio, which the tests that need it start themselves;
// what is missing of one does not keep it from the others.
func get(ctx context.Context) error {
	errs := []error{brokertest.GetApicurio(ctx, notice)}
	for _, k := range kinds() {
		errs = append(errs, k.get(ctx, notice))
	}
	return errors.Join(errs...)
}

// share starts a broker and returns the value of its variable, and what ends it. Where it cannot be
// had, the tests are told to skip, except in a CI, where nobody reads what was skipped. Where it
// cannot be had on the machine at all, each test finds that out.
func (k kind) share(signals <-chan os.Signal) (value string, stop func() error, err error) {
	s, err := k.start(signals)
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported):
		notice("NOTICE: tests with " + k.name + " are SKIPPED: " + err.Error())
		return "", func() error { return nil }, nil
	case errors.Is(err, brokertest.ErrMissing) && os.Getenv("CI") == "":
		notice("NOTICE: tests with " + k.name + " are SKIPPED: " + err.Error())
		return brokertest.Off, func() error { return nil }, nil
	default:
		return "", nil, err
	}
	return s.value, func() error {
		if !s.process.Running() {
			notice(k.name + " ended before the command did; the end of its log:\n" + s.process.Log(logLines))
		}
		return s.close()
	}, nil
}

// start starts a broker unless a signal comes first.
func (k kind) start(signals <-chan os.Signal) (*shared, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := k.get(ctx, notice); err != nil {
		return nil, err
	}
	return k.run(ctx)
}
