package command

import (
	"flag"
	"io"
	"os"
	"time"
)

// Flags are the command line of a [Program].
type Flags struct {
	// Rounds is how often each case runs.
	Rounds int
	// Short is a smoke test: one round with few events.
	Short bool
	// Check makes a missed goal an error.
	Check bool
	// Group and Only select groups, and cases by a part of their names; empty selects all.
	Group, Only string
	// Out is the file that the result is written into, between its markers; empty means Stdout.
	Out string
	// CPUProfile is the file for a CPU profile; empty means none.
	CPUProfile string
	// Timeout bounds one round of one case.
	Timeout time.Duration
	// Stdout gets the result, Progress a line for each round.
	Stdout, Progress io.Writer
}

// Register makes f the flags of a command line, with their defaults.
func (f *Flags) Register(set *flag.FlagSet) {
	f.Stdout, f.Progress = os.Stdout, os.Stderr
	set.IntVar(&f.Rounds, "rounds", 15, "how often each case runs")
	set.BoolVar(&f.Short, "short", false, "smoke test: one round with few events; the numbers mean nothing")
	set.BoolVar(&f.Check, "check", false, "end with status 1 when a goal is missed")
	set.StringVar(&f.Group, "group", "", "run only this group, such as the part of its name before a slash")
	set.StringVar(&f.Only, "case", "", "run only the base and the cases whose names contain this text")
	set.StringVar(&f.Out, "out", "", "write the result between the markers of this file instead of to standard output")
	set.StringVar(&f.CPUProfile, "cpuprofile", "", "write a CPU profile to this file; its labels are group and case")
	set.DurationVar(&f.Timeout, "timeout", 2*time.Minute, "how long one round of one case may take")
}
