// Command pubsub measures Leat's adapter for Google Cloud Pub/Sub beside Google's client and the
// raw calls, on Google's emulator, and writes the result as Markdown.
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
	"github.com/leatgo/leat/benchmarks/pubsub/internal/cases"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	addr := flag.String("addr", "", "measure on the emulator at this host:port instead of starting one")
	flag.Parse()
	command.Main("benchmarks/pubsub", func(ctx context.Context) error { return measure(ctx, f, *addr) })
}

// measure runs the benchmarks on the emulator at the address, or on one of its own.
func measure(ctx context.Context, f command.Flags, addr string) (err error) {
	if addr != "" {
		return run(ctx, f, addr, "a Pub/Sub emulator of the user")
	}
	server, err := brokertest.RunPubSub(ctx, &brokertest.PubSubOptions{JVM: []string{"-XX:TieredStopAtLevel=4", "-Xmx2g"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return run(ctx, f, server.Addr(), "Google's Pub/Sub emulator "+brokertest.PubSubVersion+" on the same machine, with the JVM's C2 compiler")
}

// run runs the benchmarks on the emulator at the address, which the report describes as what.
func run(ctx context.Context, f command.Flags, addr, what string) error {
	env, err := cases.NewEnv(ctx, addr, f.Short)
	if err != nil {
		return err
	}
	defer env.Close()
	p := &command.Program{Groups: env.All(), Modules: []string{"cloud.google.com/go/pubsub/v2"}, Machine: []string{what}}
	return p.Run(ctx, f)
}
