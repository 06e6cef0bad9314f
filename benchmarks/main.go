// Command benchmarks measures Leat beside bare Go, Watermill and the CloudEvents SDK, and writes the result as Markdown.
//
//	go run . -out README.md
//
// README.md in this directory says how it measures.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/cases"
)

// procs is the GOMAXPROCS of every run, so that runs on different machines do the same.
const procs = 2

// errMissed says that a goal was missed; the table tells which.
var errMissed = errors.New("a goal was missed")

// flags are the command line.
type flags struct {
	rounds           int
	short, check     bool
	group, only      string
	out, cpuProfile  string
	timeout          time.Duration
	stdout, progress io.Writer
}

func main() {
	f := flags{stdout: os.Stdout, progress: os.Stderr}
	flag.IntVar(&f.rounds, "rounds", 15, "how often each case runs")
	flag.BoolVar(&f.short, "short", false, "smoke test: one round with few events; the numbers mean nothing")
	flag.BoolVar(&f.check, "check", false, "end with status 1 when a goal is missed")
	flag.StringVar(&f.group, "group", "", "run only this group, such as memory or envelope")
	flag.StringVar(&f.only, "case", "", "run only the base and the cases whose names contain this text")
	flag.StringVar(&f.out, "out", "", "write the result between the markers of this file instead of to standard output")
	flag.StringVar(&f.cpuProfile, "cpuprofile", "", "write a CPU profile to this file; its labels are group and case")
	flag.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long one round of one case may take")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, f)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// run measures what the flags ask for and writes the report.
func run(ctx context.Context, f flags) (err error) {
	runtime.GOMAXPROCS(procs)
	if f.cpuProfile != "" {
		stop, err := profile(f.cpuProfile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	results, err := measure(ctx, f)
	if err != nil {
		return err
	}
	var report bytes.Buffer
	met := writeReport(&report, results)
	if f.out != "" {
		err = replaceSection(f.out, report.Bytes())
	} else {
		_, err = report.WriteTo(f.stdout)
	}
	if f.check && !met {
		err = errors.Join(err, errMissed)
	}
	return err
}

// measure runs the groups that the flags select.
func measure(ctx context.Context, f flags) ([]*bench.Result, error) {
	o := bench.Options{Rounds: max(f.rounds, 1), Short: f.short, Timeout: f.timeout}
	if f.short {
		o.Rounds = 1
	}
	o.Progress = func(group string, round int) {
		_, _ = fmt.Fprintf(f.progress, "%s: round %d of %d\n", group, round, o.Rounds)
	}
	var results []*bench.Result
	for _, g := range cases.All() {
		if !g.Matches(f.group) {
			continue
		}
		r, err := g.Only(f.only).Run(ctx, o)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no group is called %q", f.group)
	}
	return results, nil
}

// profile starts a CPU profile and returns the function that ends it.
func profile(file string) (stop func() error, err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
