package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
	"github.com/leatgo/leat/internal/mutants/score"
)

// trial says how mutants are run.
type trial struct {
	runs    int
	whole   bool     // the whole suite
	wrap    []string // the command that runs the test programs; nothing for themselves
	verbose bool     // tell what failed and what was seen of it
	timeout time.Duration
	out     io.Writer
}

// score runs a mutant as often as wanted. A mutant that cannot be caught is only compiled, unless
// the whole suite is run. The error is about the trial itself: a mutant that does not apply or
// compile, or a run without a report.
func (t *trial) score(ctx context.Context, a *adapter, m *mutant) (s score.Mutant, err error) {
	s = score.Mutant{Name: m.name, What: m.what, Kind: m.kind, Reason: m.reason}
	for _, c := range m.catches {
		s.Cases = append(s.Cases, c.name)
	}
	dir, err := os.MkdirTemp("", "leat-mutant-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := build(ctx, dir, a, m)
	if err != nil || m.reason != "" && !t.whole {
		return s, err
	}
	for range t.runs {
		began := time.Now()
		report, err := t.run(ctx, dir, program, a, m)
		if err != nil {
			return s, err
		}
		if m.reason == "" {
			s.Runs++
			why := m.judge(report)
			if len(why) == 0 {
				s.Caught++
			}
			t.tell(a, m, time.Since(began), why)
		}
		t.tellFailures(report)
	}
	return s, nil
}

func (t *trial) tell(a *adapter, m *mutant, took time.Duration, why []string) {
	outcome := "caught"
	if len(why) > 0 {
		outcome = "NOT CAUGHT: " + strings.Join(why, "; ")
	}
	t.printf("%s %-44s %6.1fs  %s\n", a.name, m.name, took.Seconds(), outcome)
}

// mostSeen is how much is told of what a case has seen, in characters: some have the stacks of all
// goroutines.
const mostSeen = 1000

// tellFailures tells what failed: with the whole suite its names, and if wanted what was seen.
func (t *trial) tellFailures(report *eventtest.Report) {
	if t.whole {
		t.printf("    failed: %s\n", strings.Join(report.Failed(), ", "))
	}
	for _, r := range report.Results {
		if t.verbose && r.Status == eventtest.Failed {
			t.printf("    %s (%.1fs): %.*s\n", r.Case, r.Seconds, mostSeen, strings.Join(r.Seen, "\n        "))
		}
	}
}

func (t *trial) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format, args...) // what cannot be written cannot be told either
}

// build compiles the adapter's tests with the mutant in them, into dir, and returns the path of the
// program.
func build(ctx context.Context, dir string, a *adapter, m *mutant) (string, error) {
	source, err := filepath.Abs(filepath.FromSlash(a.dir))
	if err != nil {
		return "", err
	}
	changed, err := m.apply(func(file string) ([]byte, error) {
		return os.ReadFile(filepath.Join(source, filepath.FromSlash(file))) //nolint:gosec // a file of the repository
	})
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range changed {
		copied := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(source, filepath.FromSlash(name))] = copied
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", list, "-o", program, ".") //nolint:gosec // files that were made here
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	return program, nil
}

// run runs the suite once and returns its report. That the program fails is what is wanted, so only
// a missing report is an error.
func (t *trial) run(ctx context.Context, dir, program string, a *adapter, m *mutant) (*eventtest.Report, error) {
	file := filepath.Join(dir, "report.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	pattern := "^" + m.test + "$"
	if !t.whole {
		pattern += "/^(raw|whole)$/^(" + strings.Join(m.cases(), "|") + ")$"
	}
	command := slices.Concat(t.wrap, []string{program, "-test.run", pattern, "-test.timeout", t.timeout.String()})
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the program was built here
	cmd.Dir, cmd.Env, cmd.WaitDelay = filepath.FromSlash(a.dir), append(os.Environ(), committed.Variable+"="+file), time.Minute
	out, failure := cmd.CombinedOutput()
	text, err := os.ReadFile(file) //nolint:gosec // in the folder that was made here
	if err != nil {
		return nil, fmt.Errorf("the run has no report: %w: %w\n%s", failure, err, lastLines(out, 60))
	}
	report := &eventtest.Report{}
	return report, json.Unmarshal(text, report)
}

// lastLines returns the end of an output.
func lastLines(out []byte, n int) []byte {
	lines := bytes.SplitAfter(out, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}
