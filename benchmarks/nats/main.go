// Command nats measures Leat's NATS adapter beside the native client, on a real NATS with
// JetStream, and writes the result as Markdown.
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
	"github.com/leatgo/leat/benchmarks/nats/internal/cases"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	broker := flag.String("broker", "", "measure on the NATS at this host:port instead of starting one")
	flag.Parse()
	command.Main("benchmarks/nats", func(ctx context.Context) error { return measure(ctx, f, *broker) })
}

// measure runs the benchmarks on the NATS at the address, or on one of its own.
func measure(ctx context.Context, f command.Flags, broker string) (err error) {
	if broker != "" {
		return run(ctx, f, broker, "a NATS of the user")
	}
	server, err := brokertest.RunNATS(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return run(ctx, f, server.Addr(), "nats-server "+brokertest.NATSVersion+", one node on the same machine")
}

// run runs the benchmarks on the NATS at the address, which the report describes as what.
func run(ctx context.Context, f command.Flags, addr, what string) (err error) {
	env, err := cases.NewEnv(addr, f.Short)
	if err != nil {
		return err
	}
	defer env.Close()
	p := &command.Program{
		Groups: env.All(), Modules: []string{"github.com/nats-io/nats.go"}, Machine: []string{what},
	}
	return p.Run(ctx, f)
}
