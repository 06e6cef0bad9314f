// Package command is what the benchmark programs have in common: their flags, the run, and the
// report.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// procs is the GOMAXPROCS of every run, so that runs on different machines do the same.
const procs = 2

// errMissed says that a goal was missed; the table tells which.
var errMissed = errors.New("a goal was missed")

// Program is what is measured.
type Program struct {
	// Groups are in the order of the report.
	Groups []bench.Group
	// Modules are those whose versions the report names.
	Modules []string
	// Machine are further lines about what was measured on.
	Machine []string
	// After, if set, measures what fits into no group, and returns it as a section of the report.
	// It is left out when groups or cases are selected.
	After func(ctx context.Context) (section []byte, met bool, err error)
}

// Run measures what the flags ask for and writes the report.
func (p *Program) Run(ctx context.Context, f Flags) (err error) {
	if f.Out != "" {
		if _, _, err := around(f.Out); err != nil { // before it measures for half an hour
			return err
		}
	}
	runtime.GOMAXPROCS(procs)
	if f.CPUProfile != "" {
		stop, err := profile(f.CPUProfile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	results, err := p.measure(ctx, f)
	if err != nil {
		return err
	}
	var after []byte
	afterMet := true
	if p.After != nil && f.Group == "" && f.Only == "" {
		if after, afterMet, err = p.After(ctx); err != nil {
			return err
		}
	}
	var report bytes.Buffer
	met := p.writeReport(&report, results) && afterMet
	report.Write(after)
	if f.Out != "" {
		err = replaceSection(f.Out, report.Bytes())
	} else {
		_, err = report.WriteTo(f.Stdout)
	}
	if f.Check && !met {
		err = errors.Join(err, errMissed)
	}
	return err
}

// measure runs the groups that the flags select.
func (p *Program) measure(ctx context.Context, f Flags) ([]*bench.Result, error) {
	o := bench.Options{Rounds: max(f.Rounds, 1), Short: f.Short, Timeout: f.Timeout}
	if f.Short {
		o.Rounds = 1
	}
	o.Progress = func(group string, round int) {
		_, _ = fmt.Fprintf(f.Progress, "%s: round %d of %d\n", group, round, o.Rounds)
	}
	var results []*bench.Result
	for _, g := range p.Groups {
		if !g.Matches(f.Group) {
			continue
		}
		r, err := g.Only(f.Only).Run(ctx, o)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no group is called %q", f.Group)
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
