// Package committed holds a run of the conformance suite against the report of it in
// docs/conformance, which the page of results is made of.
package committed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/leatgo/leat/eventtest"
)

// Variable names the environment variable with a file that [Check] writes the whole report to, what
// was seen of failures included.
const Variable = "LEAT_REPORT"

// Check fails the test where the report has other outcomes than the committed one of the same
// adapter, which is in the directory docs of the repository. With LEAT_REPORTS set, as make
// conformance does, it writes the report to that directory instead. With LEAT_REPORT set, it writes
// all of the report to that file and compares nothing: that is a run on a mutant, or of some of the
// cases.
func Check(t testing.TB, docs string, report *eventtest.Report) {
	t.Helper()
	check(t, docs, report, true)
}

// check is Check of a whole run, or of some cases.
func check(t testing.TB, docs string, report *eventtest.Report, whole bool) {
	t.Helper()
	if file := os.Getenv(Variable); file != "" {
		text, err := json.Marshal(report)
		if err == nil {
			err = os.WriteFile(file, text, 0o600) //nolint:gosec // a file that whoever runs the test names
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	name := report.Adapter + ".json"
	if dir := os.Getenv("LEAT_REPORTS"); dir != "" {
		if err := report.WriteFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(filepath.Join(docs, "conformance", name)) //nolint:gosec // the caller's own file
	if err != nil {
		t.Fatal(err)
	}
	var before eventtest.Report
	if err := json.Unmarshal(text, &before); err != nil {
		t.Fatal(err)
	}
	want, got := outcomes(&before), outcomes(report)
	for name, status := range got {
		if want[name] != status {
			t.Errorf("%s: docs/conformance says %q, this run %q: run make conformance", name, want[name], status)
		}
	}
	if whole && len(want) != len(got) {
		t.Errorf("the report in docs/conformance has %d cases, this run %d: run make conformance", len(want), len(got))
	}
}

func outcomes(r *eventtest.Report) map[string]eventtest.Status {
	all := map[string]eventtest.Status{}
	for _, result := range r.Results {
		all[result.Case] = result.Status
	}
	return all
}
