package bench

import "fmt"

// Goal is a bound on what a case measures. Medians are held against it.
type Goal struct {
	// Case is the name of the case.
	Case string
	// Metric is what is bounded.
	Metric Metric
	// Against is the case that is compared with, where the metric compares; empty means the base of
	// the group.
	Against string
	// Min and Max are the bounds; 0 means none.
	Min, Max float64
}

// Metric is what a [Goal] bounds.
type Metric uint8

// The metrics.
const (
	// Ratio is the throughput divided by that of another case.
	Ratio Metric = iota
	// Allocs are allocations per event.
	Allocs
	// CPURatio is the processor time per event divided by that of another case.
	CPURatio
	// HeapAbove is the heap that a [Holder] needs above another, in MiB.
	HeapAbove
	// AllocsAbove are allocations per event above those of another case.
	AllocsAbove
	// CPUAbove is the processor time per event above that of another case, in nanoseconds.
	CPUAbove
)

// Verdict is how a [Goal] was met.
type Verdict struct {
	Goal     Goal
	Measured Estimate
	Met      bool
}

// Verdicts holds the result against the goals of its group.
func (r *Result) Verdicts() []Verdict {
	verdicts := make([]Verdict, 0, len(r.Group.Goals))
	for _, goal := range r.Group.Goals {
		of, to := r.index(goal.Case), 0
		if goal.Against != "" {
			to = r.index(goal.Against)
		}
		v := Verdict{Goal: goal}
		switch goal.Metric {
		case Ratio:
			v.Measured = r.Ratio(of, to)
		case Allocs:
			v.Measured = r.Allocs(of)
		case CPURatio:
			v.Measured = r.CPURatio(of, to)
		case HeapAbove:
			v.Measured = r.HeapAbove(of, to)
		case AllocsAbove:
			v.Measured = r.AllocsAbove(of, to)
		case CPUAbove:
			v.Measured = r.CPUAbove(of, to)
		}
		v.Met = (goal.Min == 0 || v.Measured.Median >= goal.Min) && (goal.Max == 0 || v.Measured.Median <= goal.Max)
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// String returns what the goal bounds, in words.
func (g Goal) String() string {
	what := g.Case + ": " + g.Metric.String()
	if g.Against != "" {
		what += " to " + g.Against
	}
	return what
}

// String returns the metric in words.
func (m Metric) String() string {
	switch m {
	case Ratio:
		return "ratio"
	case Allocs:
		return "allocations per event"
	case CPURatio:
		return "CPU ratio"
	case HeapAbove:
		return "MiB of heap above the base"
	case AllocsAbove:
		return "allocations per event above the base"
	case CPUAbove:
		return "CPU ns per event above the base"
	}
	return "unknown metric"
}

// Bounds returns the bounds in signs.
func (g Goal) Bounds() string {
	switch {
	case g.Max == 0:
		return fmt.Sprintf("≥ %.4g", g.Min)
	case g.Min == 0:
		return fmt.Sprintf("≤ %.4g", g.Max)
	default:
		return fmt.Sprintf("%.4g to %.4g", g.Min, g.Max)
	}
}
