package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/leatgo/leat/internal/mutants/score"
)

// mutantsIntro says how to read the section.
const mutantsIntro = `
## Mutants of the real adapters

Each line is an adapter with one defect in its source, and the cases that have to notice it on the real broker: each of them must fail in
every run, and must have seen the defect and nothing else. *caught* counts the runs in which they did. A mutant that no case can catch
is named with the reason. The defects are in ` + "`testdata/mutants`" + ` of the adapters;
` + "`make mutants-brokers RUNS=10`" + ` runs them.

`

// readScores returns the scores of a directory in the order of their file names. There may be none.
func readScores(dir string) ([]*score.Score, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	scores := make([]*score.Score, len(paths))
	for i, path := range paths { // Glob sorts
		if scores[i], err = score.Read(path); err != nil {
			return nil, err
		}
	}
	return scores, nil
}

// mutants writes the section about mutants, where there are any.
func mutants(b *strings.Builder, scores []*score.Score) {
	if len(scores) == 0 {
		return
	}
	b.WriteString(mutantsIntro)
	b.WriteString("| adapter | mutants | caught in every run | caught in some runs | not caught, with a reason |\n|---|---|---|---|---|\n")
	for _, s := range scores {
		every, some, reasons := 0, 0, 0
		for _, m := range s.Mutants {
			switch {
			case m.Reason != "":
				reasons++
			case m.Caught == m.Runs:
				every++
			default:
				some++
			}
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", escape(s.Adapter), len(s.Mutants), every, some, reasons)
	}
	b.WriteString("\n| mutant | what it does | kind | by | caught |\n|---|---|---|---|---|\n")
	for _, s := range scores {
		for _, m := range s.Mutants {
			fmt.Fprintf(b, "| %s: `%s` | %s | %s | %s |\n", escape(s.Adapter), m.Name, escape(m.What), escape(m.Kind), caught(&m))
		}
	}
}

// caught returns the last two cells of a mutant.
func caught(m *score.Mutant) string {
	if m.Reason != "" {
		return "no case: " + escape(m.Reason) + " | no"
	}
	return "`" + strings.Join(m.Cases, "`, `") + fmt.Sprintf("` | %d of %d", m.Caught, m.Runs)
}
