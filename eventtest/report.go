package eventtest

import (
	"fmt"
	"strings"
)

// Status is what came of a case.
type Status string

// What can come of a case.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is what came of one case. It is written as JSON for the matrix of adapters.
type Result struct {
	Case    string   `json:"case"`
	Level   Level    `json:"level"`
	Rule    string   `json:"rule"`
	Status  Status   `json:"status"`
	Seen    []string `json:"seen,omitempty"`
	Seed    uint64   `json:"seed"`
	Seconds float64  `json:"seconds"`
}

// Report is what came of a run of the suite.
type Report struct {
	// Adapter and Broker name what was tested, with their versions; the caller fills them in.
	Adapter string   `json:"adapter"`
	Broker  string   `json:"broker"`
	Results []Result `json:"results"`
}

// Failed returns the names of the cases that failed.
func (r *Report) Failed() []string {
	var names []string
	for _, result := range r.Results {
		if result.Status == Failed {
			names = append(names, result.Case)
		}
	}
	return names
}

// Table returns the results as text, a line for each case.
func (r *Report) Table() string {
	var b strings.Builder
	for _, result := range r.Results {
		fmt.Fprintf(&b, "%-7s  %-5s  %-40s  %6.2fs  %s\n", result.Status, result.Level, result.Case, result.Seconds, result.Rule)
	}
	return b.String()
}
