package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/mutants/score"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs is where the committed reports and the page are.
var docs = filepath.Join("..", "..", "docs")

func TestPageIsUpToDate(t *testing.T) {
	reports, err := readReports(filepath.Join(docs, "conformance"))
	require.NoError(t, err)
	scores, err := readScores(filepath.Join(docs, "conformance", "mutants"))
	require.NoError(t, err)
	want, err := render(reports, scores)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(docs, "conformance.md"))
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "docs/conformance.md differs from its reports: run make conformance")
}

// TestMemoryReportHasEveryCase: the report of the reference is of the suite as it is, so a new case
// cannot be forgotten.
func TestMemoryReportHasEveryCase(t *testing.T) {
	var memory report
	require.NoError(t, readReport(filepath.Join(docs, "conformance", "memory.json"), &memory))
	type line struct{ name, level, rule string }
	var want, got []line
	for _, c := range eventtest.Cases() {
		want = append(want, line{c.Name, string(c.Level), c.Rule})
	}
	for _, r := range memory.Results {
		got = append(got, line{r.Case, r.Level, r.Rule})
	}
	assert.Equal(t, want, got, "docs/conformance/memory.json is of another suite: run make conformance")
}

func TestMatrix(t *testing.T) {
	page := renderFiles(t, eventtest.Report{Adapter: "a", Broker: "a 1", Results: []eventtest.Result{
		{Case: "one", Level: eventtest.Raw, Rule: "x | y", Status: eventtest.Passed, Seed: 7, Seconds: 0.5},
		{Case: "two", Level: eventtest.Whole, Rule: "z", Status: eventtest.Skipped, Seen: []string{"needed: a lever"}},
	}}, eventtest.Report{Adapter: "b", Broker: "b 2", Results: []eventtest.Result{
		{Case: "one", Level: eventtest.Raw, Rule: "x | y", Status: eventtest.Failed, Seen: []string{"a secret of this run"}},
	}})
	assert.Contains(t, page, "| a | a 1 | 1 | 1 | 0 |\n| b | b 2 | 0 | 0 | 1 |\n")
	assert.Contains(t, page, "| case | rule | a | b |\n|---|---|---|---|\n| `one` | x \\| y | passed | **failed** |\n")
	assert.Contains(t, page, "| `two` | z | skipped; needed: a lever | not run |\n")
	assert.NotContains(t, page, "a secret of this run")
}

func TestReportsOfDifferentSuitesAreRefused(t *testing.T) {
	_, err := render([]report{
		{Adapter: "a", Results: []result{{Case: "one", Level: "raw", Rule: "x", Status: passed}}},
		{Adapter: "b", Results: []result{{Case: "one", Level: "raw", Rule: "y", Status: passed}}},
	}, nil)
	require.ErrorContains(t, err, "case one of b")
	_, err = render([]report{{Adapter: "a", Results: []result{{Case: "one", Level: "odd", Status: passed}}}}, nil)
	require.ErrorContains(t, err, `level "odd"`)
}

func TestReportsThatAreNotWholeAreRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := readReports(dir)
	require.ErrorContains(t, err, "no report")
	for _, text := range []string{`{`, `{}`, `{"adapter":"a"}`, `{"adapter":"a","results":[{"case":"one","status":"great"}]}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte(text), 0o600))
		_, err = readReports(dir)
		require.ErrorContains(t, err, "a.json", text)
	}
}

// renderFiles writes reports as the suite does, reads them as the program does, and returns the
// page.
func renderFiles(t *testing.T, reports ...eventtest.Report) string {
	t.Helper()
	dir := t.TempDir()
	for _, r := range reports {
		require.NoError(t, r.WriteFile(filepath.Join(dir, r.Adapter+".json")))
	}
	read, err := readReports(dir)
	require.NoError(t, err)
	page, err := render(read, nil)
	require.NoError(t, err)
	return page
}

func TestMutants(t *testing.T) {
	var b strings.Builder
	mutants(&b, []*score.Score{{Adapter: "a", Mutants: []score.Mutant{
		{Name: "m1", What: "loses | all", Kind: "loss", Cases: []string{"one", "two"}, Runs: 10, Caught: 10},
		{Name: "m2", What: "x", Kind: "y", Cases: []string{"one"}, Runs: 10, Caught: 9},
		{Name: "m3", What: "x", Kind: "y", Reason: "nobody can see it"},
	}}})
	assert.Contains(t, b.String(), "| a | 3 | 1 | 1 | 1 |\n")
	assert.Contains(t, b.String(), "| a: `m1` | loses \\| all | loss | `one`, `two` | 10 of 10 |\n")
	assert.Contains(t, b.String(), "| a: `m2` | x | y | `one` | 9 of 10 |\n")
	assert.Contains(t, b.String(), "| a: `m3` | x | y | no case: nobody can see it | no |\n")
}

func TestAPageWithoutMutantsHasNoSectionOfThem(t *testing.T) {
	var b strings.Builder
	mutants(&b, nil)
	assert.Empty(t, b.String())
}
