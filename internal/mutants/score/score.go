// Package score has the file of what came of an adapter's mutants, which the page of results is
// made of.
package score

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Score is what came of the mutants of an adapter.
type Score struct {
	Adapter string   `json:"adapter"`
	Mutants []Mutant `json:"mutants"`
}

// Mutant is what came of one mutant.
type Mutant struct {
	Name string `json:"name"`
	// What says what the mutant does wrong, and Kind what it is an example of.
	What string `json:"what"`
	Kind string `json:"kind"`
	// Cases are those that must notice it, each in every run.
	Cases  []string `json:"cases,omitempty"`
	Runs   int      `json:"runs,omitempty"`
	Caught int      `json:"caught,omitempty"`
	// Reason is why no case can catch it; empty where cases do.
	Reason string `json:"reason,omitempty"`
}

// Read reads a file. One that says nothing, or not what was run, is an error.
func Read(path string) (*Score, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return nil, err
	}
	s := &Score{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.ToSlash(path), err)
	}
	if s.Adapter == "" || len(s.Mutants) == 0 {
		return nil, fmt.Errorf("%s: adapter %q with %d mutants is not a score", filepath.ToSlash(path), s.Adapter, len(s.Mutants))
	}
	for _, m := range s.Mutants {
		if (m.Reason == "") != (m.Runs > 0 && len(m.Cases) > 0) {
			return nil, fmt.Errorf("%s: %s has neither been run nor a reason why it cannot be caught", filepath.ToSlash(path), m.Name)
		}
	}
	return s, nil
}

// Update puts what came of one mutant into a file, which is made where there is none, and drops
// mutants that are not known any more.
func Update(path, adapter string, m Mutant, known []string) error {
	s, err := Read(path)
	if errors.Is(err, os.ErrNotExist) {
		s, err = &Score{}, os.MkdirAll(filepath.Dir(path), 0o755) //nolint:gosec // a folder that is committed
	}
	if err != nil {
		return err
	}
	s.Adapter = adapter
	s.Mutants = slices.DeleteFunc(s.Mutants, func(other Mutant) bool { return other.Name == m.Name || !slices.Contains(known, other.Name) })
	s.Mutants = append(s.Mutants, m)
	slices.SortFunc(s.Mutants, func(a, b Mutant) int { return cmp.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // a file that is committed; nothing in it is secret
}
