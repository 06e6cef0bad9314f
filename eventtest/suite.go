package eventtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
)

// Options are the options of the suite. The zero value works.
type Options struct {
	// Seed makes the run repeatable as far as the broker is; 0 means a random one.
	Seed uint64
	// Only names the cases to run; empty means all.
	Only []string
	// Patience is how long the suite waits for something that should happen soon. 0 means 10 s.
	Patience time.Duration
	// Quiet is how long the suite waits before it believes that something does not happen. 0 means 100 ms.
	Quiet time.Duration
	// CaseTimeout bounds one case. 0 means 60 s.
	CaseTimeout time.Duration
}

func (o *Options) withDefaults() *Options {
	full := Options{}
	if o != nil {
		full = *o
	}
	if full.Seed == 0 {
		full.Seed = rand.Uint64()
	}
	if full.Patience == 0 {
		full.Patience = 10 * time.Second
	}
	if full.Quiet == 0 {
		full.Quiet = 100 * time.Millisecond
	}
	if full.CaseTimeout == 0 {
		full.CaseTimeout = time.Minute
	}
	return &full
}

// TestAdapter runs every case of the suite as a subtest, and logs the table of rules and results. A nil o means the defaults.
func TestAdapter(t *testing.T, h Harness, o *Options) Report {
	t.Helper()
	full := o.withDefaults()
	var report Report
	for _, c := range selected(full) {
		t.Run(string(c.Level)+"/"+c.Name, func(t *testing.T) {
			result := check(h, &c, full)
			report.Results = append(report.Results, result)
			switch result.Status {
			case Failed:
				t.Errorf("rule: %s\nseen: %s\nseed: %d", c.Rule, strings.Join(result.Seen, "\n      "), full.Seed)
			case Skipped:
				t.Skip(strings.Join(result.Seen, "; "))
			}
		})
	}
	t.Log("\n" + report.Table())
	return report
}

// Check runs the suite without a test and returns what came of it. A nil o means the defaults.
func Check(h Harness, o *Options) Report {
	full := o.withDefaults()
	var report Report
	for _, c := range selected(full) {
		report.Results = append(report.Results, check(h, &c, full))
	}
	return report
}

// Cases returns the cases of the suite, in their order.
func Cases() []Case {
	return slices.Concat(publishCases(), subscribeCases(), receiveCases(), closeCases(), settleCases(), leaseCases(), consumeCases())
}

func selected(o *Options) []Case {
	return slices.DeleteFunc(Cases(), func(c Case) bool { return len(o.Only) > 0 && !slices.Contains(o.Only, c.Name) })
}

// check runs a case, or skips it where something that it needs is absent.
func check(h Harness, c *Case, o *Options) Result {
	missing, err := missingNeed(h, c, o)
	switch {
	case err != nil:
		return Result{Case: c.Name, Level: c.Level, Rule: c.Rule, Status: Failed, Seed: o.Seed, Seen: []string{err.Error()}}
	case missing != "":
		return Result{Case: c.Name, Level: c.Level, Rule: c.Rule, Status: Skipped, Seed: o.Seed, Seen: []string{"needed: " + string(missing)}}
	}
	return execute(h, c, o.Seed, o)
}

// missingNeed returns the first need of a case that the harness or the adapter does not fulfil.
func missingNeed(h Harness, c *Case, o *Options) (Need, error) {
	if len(c.Needs) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Patience)
	defer cancel()
	b, err := h.Open(ctx)
	if err != nil {
		return "", fmt.Errorf("the harness cannot open the adapter: %w", err)
	}
	defer func() { _ = b.Close() }()
	sub := leat.Subscription{Topic: h.Topic(), Group: "capabilities"}.WithDefaults()
	if err := leat.Declare(ctx, b, sub); err != nil {
		return "", fmt.Errorf("declaring a group to learn the capabilities: %w", err)
	}
	s, err := b.Subscribe(ctx, sub)
	if err != nil {
		return "", fmt.Errorf("subscribing to learn the capabilities: %w", err)
	}
	defer func() { _ = s.Close(ctx) }()
	all, err := b.Subscribe(ctx, leat.Subscription{Topic: sub.Topic, Broadcast: true}.WithDefaults())
	if err == nil {
		defer func() { _ = all.Close(ctx) }()
	}
	for _, n := range c.Needs {
		if !n.has(h, b, s.Capabilities(), err == nil) {
			return n, nil
		}
	}
	return "", nil
}
