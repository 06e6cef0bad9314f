package models

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid" //nolint:depguard // this module exists to keep it out of the others
)

// runsVariable says how many sequences each model is run through. Without it they are defaultRuns.
const (
	runsVariable = "LEAT_MODEL_RUNS"
	defaultRuns  = "1000"
)

func TestMain(m *testing.M) {
	runs := os.Getenv(runsVariable)
	if runs == "" {
		runs = defaultRuns
	}
	// Flags on the command line come later and win. A file for each failure would lie in the tree;
	// the seed is printed.
	for name, value := range map[string]string{"rapid.checks": runs, "rapid.steps": "80", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintf(os.Stderr, "%s=%s: %v\n", runsVariable, runs, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// check runs property for many sequences, each in a bubble of its own.
func check(t *testing.T, property func(rt *rapid.T)) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) { inBubble(t, func() { property(rt) }) })
}

// inBubble runs f in a bubble of fake time. A panic of it, which is how rapid ends a sequence,
// leaves the bubble as it is, so that rapid sees what it needs to shrink; without that the bubble
// would end the test.
func inBubble(t *testing.T, f func()) {
	t.Helper()
	var caught any
	synctest.Test(t, func(*testing.T) {
		defer func() { caught = recover() }()
		f()
	})
	if fmt.Sprintf("%T", caught) == "rapid.invalidData" {
		panic(caught) // on a line of its own: rapid tells failures apart by where they were, and this one is none
	}
	if caught != nil {
		panic(caught)
	}
}

// action is a step of a sequence.
type action struct {
	name string
	do   func(rt *rapid.T)
}

// repeat does random actions, and compare after each. rapid draws the first of many things more
// often than the last, in the order of their names, so the numbers put those that build something
// up before those that end it.
func repeat(rt *rapid.T, compare func(rt *rapid.T), actions []action) {
	named := map[string]func(*rapid.T){"": compare}
	for i, a := range actions {
		named[fmt.Sprintf("%02d %s", i, a.name)] = a.do
	}
	rt.Repeat(named)
}
