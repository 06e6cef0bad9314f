package main

import (
	"fmt"
	"strings"

	"github.com/leatgo/leat/internal/mutants/score"
)

// intro says how to read the page.
const intro = `# Conformance

<!-- Written by make conformance from the reports in docs/conformance. Do not edit. -->

Each line is a case of the conformance suite, ` + "`eventtest.TestAdapter`" + `, and the rule that it stands for. *passed*: the suite
tried to break the rule on this adapter and broker and could not; that is evidence and no proof, as no test is. *failed*: it saw the
rule broken. *skipped*: the case was not run, because it needs something that the broker does not offer or the test cannot do to it,
which is named; a skipped rule is not known to hold. *not run*: the adapter's report has no such case. How well the suite notices is
tested as well: ` + "`make mutants`" + ` runs it on brokers in memory that are broken on purpose, and ` + "`make mutants-brokers`" + ` on
adapters that are; see [Mutants of the real adapters](#mutants-of-the-real-adapters).

What the defects of a server break is not run there: the adapter for SNS and SQS runs on three servers, and that for Pub/Sub on two, and
each case runs on at least one of them. A test of the adapter shows each such defect without Leat.

`

// sections are the tables of the page, by level.
var sections = [...]struct{ level, title string }{
	{"raw", "The adapter itself"},
	{"whole", "Producer and consumer over the adapter"},
}

// render returns the page. Reports that disagree on the rule of a case, or on its level, come from
// different suites and are an error.
func render(reports []report, scores []*score.Score) (string, error) {
	cases, err := union(reports)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(intro)
	counts(&b, reports)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		table(&b, s.level, cases, reports)
	}
	mutants(&b, scores)
	return b.String(), nil
}

// union returns the cases of all reports, in the order in which they first appear.
func union(reports []report) ([]result, error) {
	known := map[string]result{}
	var cases []result
	for _, r := range reports {
		for _, c := range r.Results {
			first, ok := known[c.Case]
			switch {
			case !ok && !isLevel(c.Level):
				return nil, fmt.Errorf("case %s of %s has the unknown level %q", c.Case, r.Adapter, c.Level)
			case !ok:
				known[c.Case] = c
				cases = append(cases, c)
			case first.Rule != c.Rule || first.Level != c.Level:
				return nil, fmt.Errorf("case %s of %s has another rule or level than before: run the suite again", c.Case, r.Adapter)
			}
		}
	}
	return cases, nil
}

// isLevel reports whether a section of the page is for the level.
func isLevel(level string) bool {
	for _, s := range sections {
		if s.level == level {
			return true
		}
	}
	return false
}

// counts writes the table of totals, a line for each adapter.
func counts(b *strings.Builder, reports []report) {
	b.WriteString("| adapter | broker | passed | skipped | failed |\n|---|---|---|---|---|\n")
	for _, r := range reports {
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d |\n", escape(r.Adapter), escape(r.Broker), r.count(passed), r.count(skipped), r.count(failed))
	}
}

// table writes the cases of a level, a column for each adapter.
func table(b *strings.Builder, level string, cases []result, reports []report) {
	b.WriteString("| case | rule |")
	for _, r := range reports {
		fmt.Fprintf(b, " %s |", escape(r.Adapter))
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(reports)) + "\n")
	for _, c := range cases {
		if c.Level != level {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s |", c.Case, escape(c.Rule))
		for i := range reports {
			fmt.Fprintf(b, " %s |", cell(reports[i].find(c.Case)))
		}
		b.WriteString("\n")
	}
}

// cell returns what the matrix says of a result, which is nil where there is none.
func cell(r *result) string {
	switch {
	case r == nil:
		return "not run"
	case r.Status == failed:
		return "**failed**"
	case r.Status == skipped:
		return "skipped; " + escape(r.Reason)
	default:
		return r.Status
	}
}

// escape makes text fit into a cell of a Markdown table.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}
