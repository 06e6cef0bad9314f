package eventtest

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/ranges"
)

// Options are the options of the suite. The zero value works. With a field that is out of its
// range, every case fails.
type Options struct {
	// Seed makes the run repeatable as far as the broker is; 0 means a random one.
	Seed uint64
	// Only names the cases to run; empty means all.
	Only []string
	// Patience is how long the suite waits for something that should happen soon. 0 means what the
	// harness says by [Pacer], or 10 s.
	Patience time.Duration
	// Quiet is how long the suite waits before it believes that something does not happen. 0 means
	// what the harness says, or 100 ms.
	Quiet time.Duration
	// Unordered runs every case on subscriptions with leat.Subscription.Unordered. Cases that need
	// order by key are skipped. An adapter that offers order passes the suite with it and without.
	Unordered bool
	// Rounds is how often a case injects its fault that injects it again and again. 0 means 20
	// times, or twice where the broker is killed.
	Rounds int
	// Beside are more harnesses of the same kind, each with a broker of its own. The suite spreads
	// the cases over all of them, which shortens a run that mostly waits for its broker.
	Beside []Harness
	// CaseTimeout bounds one case. 0 means 60 s, or six times the harness's Patience where that is
	// longer.
	CaseTimeout time.Duration
}

// validate returns the first thing that is wrong with options as they were given. With it, every
// case fails.
func (o *Options) validate() error {
	if o == nil {
		return nil
	}
	return cmp.Or(
		ranges.Duration("Options.Patience", o.Patience, time.Millisecond, time.Hour),
		ranges.Duration("Options.Quiet", o.Quiet, time.Millisecond, time.Hour),
		ranges.Int("Options.Rounds", o.Rounds, 1, 1_000),
		ranges.Duration("Options.CaseTimeout", o.CaseTimeout, time.Millisecond, 24*time.Hour),
	)
}

func (o *Options) withDefaults(p Pace) *Options {
	full := Options{}
	if o != nil {
		full = *o
	}
	if full.Seed == 0 {
		full.Seed = rand.Uint64()
	}
	full.Patience = cmp.Or(full.Patience, p.Patience, 10*time.Second)
	full.Quiet = cmp.Or(full.Quiet, p.Quiet, 100*time.Millisecond)
	full.CaseTimeout = cmp.Or(full.CaseTimeout, max(time.Minute, 6*p.Patience))
	return &full
}

// TestAdapter runs every case of the suite as a subtest, and logs the table of rules and results. A
// nil o means the defaults.
func TestAdapter(t *testing.T, h Harness, o *Options) Report {
	t.Helper()
	s := newSession(h, o)
	defer s.end()
	cases := selected(s.opts)
	results := make([]Result, len(cases))
	s.each(cases, func(i int, h Harness) {
		c := &cases[i]
		t.Run(string(c.Level)+"/"+c.Name, func(t *testing.T) {
			result := s.check(c, h)
			results[i] = result
			switch result.Status {
			case Failed:
				t.Errorf("rule: %s\nseen: %s\nseed: %d", c.Rule, strings.Join(result.Seen, "\n      "), s.opts.Seed)
			case Skipped:
				t.Skip(strings.Join(result.Seen, "; "))
			}
		})
	})
	// What the flag -run left out has no result.
	report := Report{Results: slices.DeleteFunc(results, func(r Result) bool { return r.Status == "" })}
	t.Log("\n" + report.Table())
	return report
}

// Check runs the suite without a test and returns what came of it. A nil o means the defaults.
func Check(h Harness, o *Options) Report {
	s := newSession(h, o)
	defer s.end()
	cases := selected(s.opts)
	report := Report{Results: make([]Result, len(cases))}
	s.each(cases, func(i int, h Harness) { report.Results[i] = s.check(&cases[i], h) })
	return report
}

// Cases returns the cases of the suite, in their order.
func Cases() []Case {
	return slices.Concat(
		publishCases(), faultPublishCases(), neighbourCases(), subscribeCases(), lagCases(), browseCases(),
		receiveCases(), heldCases(),
		closeCases(), handoverCases(), outageCases(),
		settleCases(), settleAgainCases(), quiesceCases(),
		leaseCases(), handoverAckCases(), timedCases(), lateCases(), isolatedCases(), reconnectCases(),
		keyCases(), traceCases(),
		consumeCases(),
	)
}

func selected(o *Options) []Case {
	return slices.DeleteFunc(Cases(), func(c Case) bool { return len(o.Only) > 0 && !slices.Contains(o.Only, c.Name) })
}
