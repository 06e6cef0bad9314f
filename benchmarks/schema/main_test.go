package main

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/benchmarks/schema/internal/cases"
)

// TestEveryCaseOnce runs each case with few events.
func TestEveryCaseOnce(t *testing.T) {
	var report bytes.Buffer
	flags := command.Flags{Short: true, Timeout: time.Minute, Stdout: &report, Progress: io.Discard}
	if err := run(t.Context(), flags); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### Goals", "### publish/json", "### publish/avro", "### publish/protobuf",
		"### process/json", "### process/avro", "### process/avro-converted", "### process/protobuf",
	} {
		if !bytes.Contains(report.Bytes(), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, report.Bytes())
		}
	}
	if testing.Verbose() {
		t.Log(report.String())
	}
}

// TestAllocations holds the goals of allocations, which do not depend on the machine: a check
// allocates what the library does, and the event that it changes.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes a sync.Pool forget")
	}
	for _, g := range cases.All() {
		base := allocs(t, g.Cases[0])
		for _, c := range g.Cases[1:] {
			for _, goal := range g.Goals {
				if goal.Case != c.Name || goal.Metric != bench.AllocsAbove {
					continue
				}
				if above, most := allocs(t, c)-base, math.Floor(goal.Max); above > most {
					t.Errorf("%s, %s: %v allocations above those of the library; want at most %v", g.Name, c.Name, above, most)
				}
			}
		}
	}
}

// BenchmarkCases is for tools that count the instructions of a case: see README.md.
func BenchmarkCases(b *testing.B) {
	for _, g := range cases.All() {
		for _, c := range g.Cases {
			b.Run(g.Name+"/"+c.Name, func(b *testing.B) {
				instance, err := c.Start(b.Context(), 1)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.ResetTimer()
				if err := instance.Run(b.Context(), b.N); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// allocs returns the allocations of one call.
func allocs(t *testing.T, c bench.Case) float64 {
	t.Helper()
	instance, err := c.Start(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return testing.AllocsPerRun(200, func() {
		if err := instance.Run(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	})
}
