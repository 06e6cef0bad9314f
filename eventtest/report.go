package eventtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
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

// Result is what came of one case.
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

// fileReport and fileResult are what [Report.WriteFile] writes of a report: nothing that differs
// between two runs with the same outcome.
type fileReport struct {
	Adapter string       `json:"adapter"`
	Broker  string       `json:"broker"`
	Results []fileResult `json:"results"`
}

type fileResult struct {
	Case   string `json:"case"`
	Level  Level  `json:"level"`
	Rule   string `json:"rule"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"` // why it was skipped
}

// WriteFile writes the report to a file as JSON, for the matrix of adapters: the names, and of each
// case its level, rule and status and why it was skipped, in the order of the suite. Seeds, timings
// and what was seen of a failure are left out, so that the file changes only when a result does. An
// existing file is replaced. The error is that of [os.WriteFile].
func (r *Report) WriteFile(path string) error {
	file := fileReport{Adapter: r.Adapter, Broker: r.Broker, Results: make([]fileResult, 0, len(r.Results))}
	for _, result := range r.Results {
		line := fileResult{Case: result.Case, Level: result.Level, Rule: result.Rule, Status: result.Status}
		if result.Status == Skipped {
			line.Reason = strings.Join(result.Seen, "; ")
		}
		file.Results = append(file.Results, line)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(file); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // a report that is committed; nothing in it is secret
}
