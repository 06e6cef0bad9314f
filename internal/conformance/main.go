// Command conformance writes docs/conformance.md, the matrix of rules and adapters, from the
// reports of the conformance suite in docs/conformance, and the score of the suite on mutants of
// the adapters from docs/conformance/mutants. It runs in the root of the repository, by make
// conformance.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("docs"); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run reads the reports below the directory docs and writes the matrix to it.
func run(docs string) error {
	reports, err := readReports(filepath.Join(docs, "conformance"))
	if err != nil {
		return err
	}
	scores, err := readScores(filepath.Join(docs, "conformance", "mutants"))
	if err != nil {
		return err
	}
	text, err := render(reports, scores)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "conformance.md"), []byte(text), 0o644) //nolint:gosec // a page for everybody
}
