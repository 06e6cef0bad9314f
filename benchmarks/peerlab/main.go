// Command peerlab runs the same scenarios on Leat and on other Go libraries for RabbitMQ, each on a
// private RabbitMQ, and writes what was seen as tables.
//
//	go run . -out README.md
//
// README.md in this directory says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/lab"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var o lab.Options
	flag.StringVar(&o.Scenario, "scenario", "", "run only the scenarios whose names contain this text")
	flag.StringVar(&o.Party, "party", "", "run only the parties whose names contain this text")
	flag.BoolVar(&o.Short, "short", false, "fewer repetitions")
	flag.BoolVar(&o.JSON, "json", false, "write the results as JSON")
	flag.BoolVar(&o.Check, "check", false, "end with status 1 when Leat does not hold")
	flag.StringVar(&o.Out, "out", "", "write the tables between the markers of this file instead of to standard output")
	cell := flag.String("cell", "", "used by the program itself: run one scenario for one party, scenario/party, in this process")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *cell != "" {
		err = lab.Cell(ctx, *cell, !o.Short, os.Stdout)
	} else {
		o.Stdout, o.Progress = os.Stdout, os.Stderr
		err = lab.Run(ctx, o)
	}
	stop()
	switch {
	case errors.Is(err, brokertest.ErrMissing) && os.Getenv("CI") == "":
		fmt.Fprintln(os.Stderr, "benchmarks/peerlab: SKIPPED, NOTHING WAS RUN:", err)
		os.Exit(lab.ExitMissing)
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchmarks/peerlab:", err)
		os.Exit(1)
	}
}
