// Command aws measures Leat's adapter for SNS and SQS beside the calls of the AWS SDK, on an
// ElasticMQ, and writes the result as Markdown.
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
	endpoint := flag.String("endpoint", "", "measure on the SQS at this URL instead of starting an ElasticMQ")
	flag.Parse()
	command.Main("benchmarks/aws", func(ctx context.Context) error { return measure(ctx, f, *endpoint) })
}

// measure runs the benchmarks on the SQS at the URL, or on a server of its own.
func measure(ctx context.Context, f command.Flags, endpoint string) (err error) {
	if endpoint != "" {
		return run(ctx, f, endpoint, "an SQS of the user")
	}
	server, err := brokertest.RunElasticMQ(ctx, &brokertest.ElasticMQOptions{JVM: []string{"-XX:TieredStopAtLevel=4"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	what := "ElasticMQ " + brokertest.ElasticMQVersion + " on the same machine, queues in memory, with the JVM's C2 compiler"
	return run(ctx, f, server.URL(), what)
}

// run runs the benchmarks on the SQS at the URL, which the report describes as what.
func run(ctx context.Context, f command.Flags, endpoint, what string) error {
	env := cases.NewEnv(endpoint, f.Short)
	defer env.Close()
	p := &command.Program{
		Groups: env.All(), Machine: []string{what},
		Modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-sdk-go-v2/service/sqs"},
	}
	return p.Run(ctx, f)
}
