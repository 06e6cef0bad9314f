package eventtest_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// mutant is an in-memory broker that breaks a rule, to prove that the suite notices.
type mutant struct {
	name string
	// rule is the case that must fail.
	rule string
	// others are the cases that may fail beside it, because the same defect breaks them too.
	others []string
	// wrap returns the broken broker.
	wrap func(leat.Broker) leat.Broker
	// shelled says that a raw mutant is made of a shell, so that its broker can be paused.
	shelled bool
}

// mutantHarness hands out mutants of the in-memory broker.
type mutantHarness struct {
	*memoryHarness

	wrap func(leat.Broker) leat.Broker
}

func (h mutantHarness) Open(ctx context.Context) (leat.Broker, error) {
	b, err := h.memoryHarness.Open(ctx)
	if err != nil {
		return nil, err
	}
	return h.wrap(b), nil
}

// TestEveryMutantIsCaught runs the suite on mutants. With LEAT_MUTANTS=all, as in make mutants, it
// runs all of them on all cases of the level that they were made for, which takes minutes: the rule
// that one breaks must fail, and no rule outside its declared set. With any other value, those
// whose names it matches have to be caught by their rules. Without it, every fifth has to be.
func TestEveryMutantIsCaught(t *testing.T) {
	named := os.Getenv("LEAT_MUTANTS")
	all, step := named == "all", 5
	if named != "" {
		step = 1
	}
	wanted, ran := regexp.MustCompile(named), 0
	for _, level := range []struct {
		name    eventtest.Level
		mutants []mutant
	}{
		{eventtest.Raw, rawMutants()},
		{eventtest.Whole, wholeMutants()},
	} {
		for i := 0; i < len(level.mutants); i += step {
			m := level.mutants[i]
			if !all && !wanted.MatchString(m.name) {
				continue
			}
			ran++
			t.Run(string(level.name)+"/"+m.name, func(t *testing.T) {
				if level.name == eventtest.Whole {
					t.Parallel() // raw cases count the goroutines of the process, so they cannot
				}
				cases := []string{m.rule}
				if all {
					cases = casesOf(level.name)
				}
				report := eventtest.Check(m.harness(level.name), &eventtest.Options{
					Seed: 1, Patience: 2 * time.Second, CaseTimeout: 10 * time.Second, Only: cases,
				})
				failed := report.Failed()
				assert.Contains(t, failed, m.rule, "the suite does not notice the mutant")
				for _, name := range failed {
					if name != m.rule {
						assert.Contains(t, m.others, name, "a rule fails that this mutant should not break")
					}
				}
			})
		}
	}
	assert.Positive(t, ran, "no mutant has such a name")
}

// harness returns one that hands out the mutant. Those of whole cases are shells, which can be
// paused.
func (m *mutant) harness(level eventtest.Level) eventtest.Harness {
	h := mutantHarness{newMemoryHarness(), m.wrap}
	if level == eventtest.Whole || m.shelled {
		return shellHarness{h}
	}
	return h
}

// casesOf returns the names of a level's cases.
func casesOf(level eventtest.Level) []string {
	var names []string
	for _, c := range eventtest.Cases() {
		if c.Level == level {
			names = append(names, c.Name)
		}
	}
	return names
}

// TestEveryCaseCanFail: a case that no mutant was made for proves nothing. One that fails beside
// others may just be in their way.
func TestEveryCaseCanFail(t *testing.T) {
	var broken []string
	for _, m := range slices.Concat(rawMutants(), wholeMutants()) {
		broken = append(broken, m.rule)
	}
	for _, c := range eventtest.Cases() {
		assert.True(t, slices.Contains(broken, c.Name), "no mutant is there to break the case %s", c.Name)
	}
}
