// Command aws measures Leat's adapter for SNS and SQS beside the calls of the AWS SDK, on an
// ElasticMQ and on a stub, and writes the result as Markdown.
//
//	go run . -out README.md
//
// README.md in this directory says how it measures.
package main

import (
	"context"
	"errors"
	"flag"

	"github.com/leatgo/leat/benchmarks/aws/internal/cases"
	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	endpoint := flag.String("endpoint", "", "measure on the SQS at this URL instead of starting servers")
	flag.Parse()
	command.Main("benchmarks/aws", func(ctx context.Context) error { return measure(ctx, f, *endpoint) })
}

// measure runs the benchmarks on the SQS at the URL, or on servers of its own.
func measure(ctx context.Context, f command.Flags, endpoint string) (err error) {
	if endpoint != "" {
		return run(ctx, f, cases.Servers{Publish: endpoint, Consume: endpoint}, "an SQS of the user")
	}
	server, err := brokertest.RunElasticMQ(ctx, &brokertest.ElasticMQOptions{JVM: []string{"-XX:TieredStopAtLevel=4"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	stub, stop, err := startStub(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return run(ctx, f, cases.Servers{Publish: server.URL(), Consume: stub},
		"ElasticMQ "+brokertest.ElasticMQVersion+" on the same machine, queues in memory, with the JVM's C2 compiler",
		"for consume and sleeping: the stub of the adapter's tests, as a process of its own")
}

// run runs the benchmarks on the servers, which the report describes as what.
func run(ctx context.Context, f command.Flags, servers cases.Servers, what ...string) error {
	env := cases.NewEnv(servers, f.Short)
	defer env.Close()
	p := &command.Program{
		Groups: env.All(), Machine: what,
		Modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-sdk-go-v2/service/sqs"},
	}
	return p.Run(ctx, f)
}
