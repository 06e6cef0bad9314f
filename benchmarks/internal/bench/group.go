// Package bench measures cases side by side: it runs the cases of a group round-robin in one
// process, compares them within each round, and reports medians with their intervals.
package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// Group is a set of cases that do the same work. The first case is the base that the others are
// compared to.
type Group struct {
	// Name selects the group on the command line. A part after a slash is a section: "envelope"
	// selects "envelope/encode".
	Name string
	// About says in a paragraph what is done, and what is not the same for all.
	About string
	Cases []Case
	Goals []Goal
}

// Options say how long to measure.
type Options struct {
	// Rounds is how often each case runs. At least 1.
	Rounds int
	// Short takes the small numbers of a smoke test.
	Short bool
	// Timeout bounds one round of one case, so that a lost event ends the program instead of
	// hanging it.
	Timeout time.Duration
	// Progress is called before each round.
	Progress func(group string, round int)
}

// Matches reports whether a filter from the command line selects the group. The empty filter
// selects every group.
func (g Group) Matches(filter string) bool {
	return filter == "" || g.Name == filter || strings.HasPrefix(g.Name, filter+"/")
}

// Only returns the group with its base and the cases whose names contain text, and without goals
// unless it kept all cases.
func (g Group) Only(text string) Group {
	kept := g
	kept.Cases = nil
	for i, c := range g.Cases {
		if i == 0 || strings.Contains(c.Name, text) {
			kept.Cases = append(kept.Cases, c)
		}
	}
	if len(kept.Cases) < len(g.Cases) {
		kept.Goals = nil
	}
	return kept
}

// Run measures the group. Each round runs every case once; the case that starts the round moves on
// by one each time, so that none always runs after the same neighbour.
func (g Group) Run(ctx context.Context, o Options) (*Result, error) {
	r := &Result{Group: g, samples: make([][]sample, len(g.Cases))}
	for round := range o.Rounds {
		if o.Progress != nil {
			o.Progress(g.Name, round+1)
		}
		for i := range g.Cases {
			at := (round + i) % len(g.Cases)
			s, err := g.once(ctx, g.Cases[at], o)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, round %d: %w", g.Name, g.Cases[at].Name, round+1, err)
			}
			r.samples[at] = append(r.samples[at], s)
		}
	}
	return r, nil
}

// WarmUp is how many events go through a case before the clock runs, when a round takes that many.
func WarmUp(events int) int { return min(2_000, events/10) }

// once runs one case for one round. Goroutines that the case starts carry its name as a profiler
// label.
func (g Group) once(ctx context.Context, c Case, o Options) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	pprof.Do(ctx, pprof.Labels("group", g.Name, "case", c.Name), func(ctx context.Context) {
		s, err = c.measure(ctx, o.Short)
	})
	return s, err
}

func (c Case) measure(ctx context.Context, short bool) (s sample, err error) {
	s.events = c.Events
	if short {
		s.events = c.short()
	}
	instance, err := c.Start(ctx, s.events)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()

	warm := WarmUp(s.events)
	if err := instance.Run(ctx, warm); err != nil {
		return s, fmt.Errorf("warm-up: %w", err)
	}
	runtime.GC() // what the set-up and the case before left behind is nobody's to pay for
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	err = instance.Run(ctx, s.events)
	s.took, s.cpu = time.Since(start), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	if err != nil {
		return s, err
	}
	s.allocs, s.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	if holder, ok := instance.(Holder); ok {
		s.heap = holder.Held()
	}
	if got, want := instance.Handled(), int64(warm+s.events); got != want {
		return s, fmt.Errorf("%d events were handled; want %d, each once", got, want)
	}
	return s, nil
}
