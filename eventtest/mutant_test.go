package eventtest_test

import (
	"context"
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

// TestEveryMutantIsCaught runs the suite on every mutant: the rule that it breaks must fail, and no rule outside its declared set.
func TestEveryMutantIsCaught(t *testing.T) {
	for _, m := range slices.Concat(rawMutants(), wholeMutants()) {
		t.Run(m.name, func(t *testing.T) {
			report := eventtest.Check(mutantHarness{newMemoryHarness(), m.wrap},
				&eventtest.Options{Seed: 1, Patience: 2 * time.Second, CaseTimeout: 10 * time.Second})
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

// TestEveryCaseCanFail: a case that no mutant breaks proves nothing.
func TestEveryCaseCanFail(t *testing.T) {
	var broken []string
	for _, m := range slices.Concat(rawMutants(), wholeMutants()) {
		broken = append(append(broken, m.rule), m.others...)
	}
	for _, c := range eventtest.Cases() {
		assert.Contains(t, broken, c.Name, "no mutant breaks this case")
	}
}
