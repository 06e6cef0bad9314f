// Command telemetry measures what metrics and traces cost: Leat without and with them, in memory
// and on a real Kafka and RabbitMQ, beside Watermill's metrics and kotel. It writes the result as
// Markdown.
//
//	go run . -out README.md
//
// README.md in this directory says how it measures.
package main

import (
	"context"
	"errors"
	"flag"
	"strings"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/benchmarks/telemetry/internal/cases"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	flag.Parse()
	command.Main("benchmarks/telemetry", func(ctx context.Context) error { return measure(ctx, f) })
}

// measure runs the benchmarks on brokers of its own, which it starts where a group needs them.
func measure(ctx context.Context, f command.Flags) (err error) {
	env := &cases.Env{}
	var what []string
	if selected(f, "kafka/consume") {
		kafka, err := brokertest.RunKafka(ctx, &brokertest.KafkaOptions{Heap: "1g", JVM: []string{"-XX:TieredStopAtLevel=4"}})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kafka.Close()) }()
		env.Kafka = kafka.Addrs()
		what = append(what, "Apache Kafka "+brokertest.KafkaVersion+", one node on the same machine, with the JVM's C2 compiler")
	}
	if selected(f, "rabbitmq/consume") {
		node, err := brokertest.RunRabbitMQ(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, node.Close()) }()
		env.Rabbit = node.URL()
		what = append(what, "RabbitMQ "+node.Version()+", one node on the same machine")
	}
	return run(ctx, f, env, what)
}

// selected reports whether the flags select a group.
func selected(f command.Flags, name string) bool { return bench.Group{Name: name}.Matches(f.Group) }

// run runs the benchmarks on the brokers of the Env, which the report describes as what.
func run(ctx context.Context, f command.Flags, env *cases.Env, what []string) error {
	p := &command.Program{
		Groups: env.All(),
		Modules: strings.Fields(`go.opentelemetry.io/otel go.opentelemetry.io/otel/sdk/metric github.com/prometheus/client_golang
			github.com/ThreeDotsLabs/watermill github.com/twmb/franz-go github.com/twmb/franz-go/plugin/kotel`),
		Machine: what,
	}
	return p.Run(ctx, f)
}
