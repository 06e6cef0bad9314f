// Command benchmarks measures Leat beside bare Go, Watermill and the CloudEvents SDK, and writes
// the result as Markdown.
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

	"github.com/leatgo/leat/benchmarks/internal/cases"
	"github.com/leatgo/leat/benchmarks/internal/command"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := program().Run(ctx, f)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// program is everything that needs no broker.
func program() *command.Program {
	return &command.Program{
		Groups:  cases.All(),
		Modules: []string{"github.com/ThreeDotsLabs/watermill", "github.com/cloudevents/sdk-go/v2"},
	}
}
