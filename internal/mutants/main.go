// Command mutants runs the conformance suite on mutants of the real adapters: on the adapter as it
// is, but for one defect that a mutant puts into its source, against the real broker. It shows that
// the suite notices the defect. make mutants-brokers runs it.
//
// A mutant is a text file in the folder testdata/mutants of its adapter; see [mutant]. The defects
// are compiled in with the go command's
// -overlay, so no product code knows of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/mutants/score"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// command runs the program in the root of the repository.
func command(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	names := flags.String("adapters", strings.Join(adapterNames(), ","), "the adapters whose mutants are run")
	pattern := flags.String("run", "", "run only mutants whose name matches this regular expression")
	runs := flags.Int("runs", 1, "run each mutant this often")
	whole := flags.Bool("whole", false, "run the whole suite on each mutant, in place of the cases that must catch it")
	wrap := flags.String("exec", "", "run the test programs with this command, as go test -exec does")
	timeout := flags.Duration("timeout", 30*time.Minute, "the limit of one run")
	verbose := flags.Bool("v", false, "print what the cases that failed have seen")
	keep := flags.Bool("score", true, "write the score to docs/conformance/mutants")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	t := trial{runs: *runs, whole: *whole, wrap: strings.Fields(*wrap), verbose: *verbose, timeout: *timeout, out: os.Stdout}
	var failures []error
	for name := range strings.SplitSeq(*names, ",") {
		i := slices.IndexFunc(adapters, func(a adapter) bool { return a.name == name })
		if i < 0 {
			return fmt.Errorf("there is no adapter %q with mutants; there are %s", name, strings.Join(adapterNames(), ", "))
		}
		if err := all(ctx, &t, &adapters[i], wanted, *keep); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// all runs the mutants of an adapter that are wanted, and keeps the score of each as soon as it is
// known.
func all(ctx context.Context, t *trial, a *adapter, wanted *regexp.Regexp, keep bool) error {
	mutants, err := a.mutants(".")
	if err != nil {
		return err
	}
	file := filepath.Join("docs", "conformance", "mutants", a.name+".json")
	var missed []string
	for _, m := range mutants {
		if !wanted.MatchString(m.name) {
			continue
		}
		s, err := t.score(ctx, a, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if s.Caught < s.Runs {
			missed = append(missed, fmt.Sprintf("%s (%d of %d)", m.name, s.Caught, s.Runs))
		}
		if keep && !t.whole {
			if err := score.Update(file, a.name, s, namesOf(mutants)); err != nil {
				return err
			}
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%s: the suite does not catch %s", a.name, strings.Join(missed, ", "))
	}
	return nil
}
