// Command schema measures what a check of an event by Leat's Enforcer costs beside the library of
// the language of schemas, and writes the result as Markdown. It needs no broker.
//
//	go run . -out README.md
//
// README.md in this directory says how it measures.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/benchmarks/schema/internal/cases"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, f)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks/schema:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f command.Flags) error {
	p := &command.Program{Groups: cases.All(), Modules: []string{
		"github.com/santhosh-tekuri/jsonschema/v6", "github.com/twmb/avro", "google.golang.org/protobuf", "github.com/bufbuild/protocompile",
	}}
	return p.Run(ctx, f)
}
