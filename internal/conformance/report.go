package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// What can come of a case, as eventtest writes it.
const (
	passed  = "passed"
	failed  = "failed"
	skipped = "skipped"
)

// report is a file that eventtest.Report.WriteFile wrote.
type report struct {
	Adapter string   `json:"adapter"`
	Broker  string   `json:"broker"`
	Results []result `json:"results"`
}

// result is what came of one case.
type result struct {
	Case   string `json:"case"`
	Level  string `json:"level"`
	Rule   string `json:"rule"`
	Status string `json:"status"`
	Reason string `json:"reason"`
}

// readReports returns the reports of a directory in the order of their file names. None at all is
// an error.
func readReports(dir string) ([]report, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("there is no report in %s", filepath.ToSlash(dir))
	}
	reports := make([]report, len(paths))
	for i, path := range paths { // Glob sorts
		if err := readReport(path, &reports[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.ToSlash(path), err)
		}
	}
	return reports, nil
}

// readReport reads one file, and refuses a report that is not whole: no name, no results, a status
// that nobody knows.
func readReport(path string, r *report) error {
	data, err := os.ReadFile(path) //nolint:gosec // a path that Glob found in the repository
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, r); err != nil {
		return err
	}
	if r.Adapter == "" || len(r.Results) == 0 {
		return fmt.Errorf("adapter %q with %d results is not a report", r.Adapter, len(r.Results))
	}
	for _, result := range r.Results {
		switch result.Status {
		case passed, failed, skipped:
		default:
			return fmt.Errorf("case %s: unknown status %q", result.Case, result.Status)
		}
	}
	return nil
}

// count returns how many results have a status.
func (r *report) count(status string) int {
	n := 0
	for _, result := range r.Results {
		if result.Status == status {
			n++
		}
	}
	return n
}

// find returns the result of a case, or nil when the report has none.
func (r *report) find(name string) *result {
	for i := range r.Results {
		if r.Results[i].Case == name {
			return &r.Results[i]
		}
	}
	return nil
}
