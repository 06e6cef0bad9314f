package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leatgo/leat/eventtest"
)

// controls are run beside the cases that must catch a mutant. A mutant with which none of them
// passes is not an adapter with a defect, but no adapter.
var controls = []string{"byte-for-byte", "ack-ends", "whole-once-in-peace"}

// cases returns the cases that one run needs: those that must fail, and the controls.
func (m *mutant) cases() []string {
	var names []string
	for _, c := range m.catches {
		names = append(names, c.name)
	}
	for _, control := range controls {
		if !slices.Contains(names, control) {
			names = append(names, control)
		}
	}
	return names
}

// judge returns why a run did not catch the mutant as it must, nothing where it did.
func (m *mutant) judge(report *eventtest.Report) (why []string) {
	by := map[string]*eventtest.Result{}
	for i := range report.Results {
		by[report.Results[i].Case] = &report.Results[i]
	}
	for _, c := range m.catches {
		switch r := by[c.name]; {
		case r == nil:
			why = append(why, c.name+" was not run")
		case r.Status != eventtest.Failed:
			why = append(why, fmt.Sprintf("%s %s", c.name, r.Status))
		case !c.seen.MatchString(strings.Join(r.Seen, "\n")):
			why = append(why, fmt.Sprintf("%s failed for another reason than %q: %s", c.name, c.seen, strings.Join(r.Seen, "; ")))
		}
	}
	alive := slices.ContainsFunc(controls, func(name string) bool {
		r := by[name]
		return r != nil && r.Status == eventtest.Passed && !slices.ContainsFunc(m.catches, func(c catch) bool { return c.name == name })
	})
	if !alive {
		why = append(why, "none of "+strings.Join(controls, ", ")+" passed: the mutant breaks everything")
	}
	return why
}
