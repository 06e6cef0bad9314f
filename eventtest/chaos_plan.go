package eventtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault is what goes wrong with one action.
type fault string

const (
	faultNone          fault = ""
	faultCrashBefore   fault = "crash-before"
	faultCrashAfter    fault = "crash-after"
	faultRefused       fault = "refused"
	faultUnknownStored fault = "unknown-stored"
	faultUnknownLost   fault = "unknown-lost"
	faultLeaseLost     fault = "lease-lost"
	faultRedeliver     fault = "redeliver"
	faultDelay         fault = "delay"
)

// faults has all of them but the delay, which is no fault of anybody.
var faults = []fault{
	faultCrashBefore, faultCrashAfter, faultRefused, faultUnknownStored, faultUnknownLost, faultLeaseLost, faultRedeliver,
}

// maxDelay is the most steps of others that an action is made to wait for.
const maxDelay = 12

// decision is one deviation of a schedule from the plain one: a fault of the action that has the
// label. Actions are told apart by what they are and not by when they happen, so that leaving out
// one decision leaves the others what they were.
type decision struct {
	label string
	fault fault
	steps int // of a delay
}

func (d decision) String() string {
	text := d.label + "=" + string(d.fault)
	if d.fault == faultDelay {
		text += strconv.Itoa(d.steps)
	}
	return text
}

// plan decides what goes wrong in a run: by chance within a budget, or as a list says. Only the
// scheduler's goroutine uses it.
type plan struct {
	seed   uint64
	limit  time.Duration       // how much real time the run may take
	chosen []decision          // in the order in which they were met
	fixed  map[string]decision // of a replay; nil where chance decides

	rand           *rand.Rand
	allowed        []fault // those that this run may have
	faults, delays int     // how many are left
	rate           float64 // of an action that can fail
}

// newPlan returns a plan of chance. Runs differ in how many faults they have, of which kinds, and
// how close together.
func newPlan(seed uint64) *plan {
	p := &plan{seed: seed, limit: runTimeout, rand: rand.New(rand.NewPCG(seed, 1))}
	for _, f := range faults {
		if p.rand.IntN(10) < 7 {
			p.allowed = append(p.allowed, f)
		}
	}
	p.faults, p.delays = 1+p.rand.IntN(6), p.rand.IntN(9)
	p.rate = []float64{0.02, 0.05, 0.15, 0.4}[p.rand.IntN(4)]
	return p
}

// replayPlan returns a plan that does what the list says.
func replayPlan(seed uint64, decisions []decision) *plan {
	p := &plan{seed: seed, limit: runTimeout, fixed: map[string]decision{}}
	for _, d := range decisions {
		p.fixed[d.label] = d
	}
	return p
}

// decide says what goes wrong with an action of which options can.
func (p *plan) decide(label string, options []fault) decision {
	d := p.draw(label, options)
	if d.fault != faultNone {
		p.chosen = append(p.chosen, d)
	}
	return d
}

func (p *plan) draw(label string, options []fault) decision {
	if p.fixed != nil {
		d := p.fixed[label]
		if d.fault != faultDelay && !slices.Contains(options, d.fault) {
			return decision{label: label}
		}
		return d
	}
	chance, pick, steps := p.rand.Float64(), p.rand.IntN(1<<20), 1+p.rand.IntN(maxDelay)
	if p.delays > 0 && chance > 1-p.rate {
		p.delays--
		return decision{label, faultDelay, steps}
	}
	if p.faults == 0 || chance > p.rate || len(options) == 0 {
		return decision{label: label}
	}
	f := options[pick%len(options)]
	if !slices.Contains(p.allowed, f) {
		return decision{label: label}
	}
	p.faults--
	return decision{label: label, fault: f}
}

// schedule returns the decisions as text.
func (p *plan) schedule() []string {
	lines := make([]string, len(p.chosen))
	for i, d := range p.chosen {
		lines[i] = d.String()
	}
	return lines
}

// parseSchedule is the way back from decisions joined by commas.
func parseSchedule(text string) ([]decision, error) {
	var all []decision
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		at := strings.LastIndexByte(part, '=')
		if at < 0 {
			return nil, fmt.Errorf("%q is not label=fault", part)
		}
		d := decision{label: part[:at], fault: fault(part[at+1:])}
		if steps, ok := strings.CutPrefix(part[at+1:], string(faultDelay)); ok {
			n, err := strconv.Atoi(steps)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q: %q is not a number of steps", part, steps)
			}
			d.fault, d.steps = faultDelay, n
		} else if !slices.Contains(faults, d.fault) {
			return nil, fmt.Errorf("%q: there is no fault %q", part, d.fault)
		}
		all = append(all, d)
	}
	return all, nil
}
