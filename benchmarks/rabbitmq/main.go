// Command rabbitmq measures Leat's RabbitMQ adapter beside the native client and the usual peers,
// on a real RabbitMQ, and writes the result as Markdown.
//
//	go run . -out README.md
//
// README.md in this directory says how it measures.
package main

import (
	"context"
	"errors"
	"flag"

	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/benchmarks/rabbitmq/internal/cases"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	broker := flag.String("broker", "", "measure on the RabbitMQ at this URL, amqp://user:password@host:port/, instead of starting one")
	flag.Parse()
	command.Main("benchmarks/rabbitmq", func(ctx context.Context) error { return measure(ctx, f, *broker) })
}

// measure runs the benchmarks on the RabbitMQ at the URL, or on one of its own.
func measure(ctx context.Context, f command.Flags, broker string) (err error) {
	if broker != "" {
		return run(ctx, f, broker, "a RabbitMQ of the user")
	}
	node, err := brokertest.RunRabbitMQ(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	return run(ctx, f, node.URL(), "RabbitMQ "+node.Version()+", one node on the same machine")
}

// run runs the benchmarks on the RabbitMQ at the URL, which the report describes as what.
func run(ctx context.Context, f command.Flags, url, what string) (err error) {
	env, err := cases.NewEnv(url, f.Short)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	p := &command.Program{
		Groups: env.All(),
		Modules: []string{
			"github.com/rabbitmq/amqp091-go",
			"github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-amqp/v3",
			"gocloud.dev", "gocloud.dev/pubsub/rabbitpubsub",
		},
		Machine: []string{what},
	}
	return p.Run(ctx, f)
}
