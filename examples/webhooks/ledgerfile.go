package main

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

// readLedgers returns the facts of all files in dir in the order of their time, and the names of
// the files whose last line was cut off by a kill.
func readLedgers(dir string) (facts []fact, torn []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, nil, err
	}
	if len(paths) == 0 {
		return nil, nil, fmt.Errorf("no ledger files in %s", dir)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		name := filepath.Base(path)
		read, cut, err := parseLedger(name, data)
		if err != nil {
			return nil, nil, err
		}
		facts = append(facts, read...)
		if cut {
			torn = append(torn, name)
		}
	}
	slices.SortStableFunc(facts, func(a, b fact) int { return cmp.Compare(a.At, b.At) })
	return facts, torn, nil
}

// parseLedger reads one file. Only a line without its line end may be incomplete.
func parseLedger(name string, data []byte) (facts []fact, torn bool, err error) {
	for number := 1; len(data) > 0; number++ {
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		if !ended {
			return facts, true, nil
		}
		f := fact{writer: name}
		if err = json.Unmarshal(line, &f); err == nil {
			err = f.validate()
		}
		if err != nil {
			return nil, false, fmt.Errorf("%s line %d: %w", name, number, err)
		}
		facts = append(facts, f)
		data = rest
	}
	return facts, false, nil
}

func (f *fact) validate() error {
	if f.ID == "" {
		return errors.New("a fact without an id")
	}
	switch f.Kind {
	case factUnfit, factSent:
		return nil
	case factPublished:
		if !slices.Contains([]string{outcomeOK, outcomeRefused, outcomeUnknown}, f.Outcome) {
			return fmt.Errorf("unknown outcome %q", f.Outcome)
		}
		return nil
	case factHandled, factSkipped, factFailed, factPoisoned:
		if !slices.Contains(serviceNames(), f.Service) {
			return fmt.Errorf("unknown service %q", f.Service)
		}
		return nil
	}
	return fmt.Errorf("unknown fact %q", f.Kind)
}
