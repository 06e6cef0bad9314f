package eventtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

const (
	// shrinkTime is how much real time the shortening of a schedule may take, and shrinkRuns how
	// many runs.
	shrinkTime = 20 * time.Second
	shrinkRuns = 400
)

// shrink shortens the schedule of a run that failed: it leaves out decisions as long as the same
// invariant breaks, first many at a time, then one by one (delta debugging). What remains is
// needed, all of it, unless the time was not enough.
func shrink(t *testing.T, failed *result, wire func(x *Exploration)) *result {
	t.Helper()
	s := &shrinker{best: failed, deadline: time.Now().Add(shrinkTime), runs: shrinkRuns}
	s.try = func(decisions []decision) *result { return execute1(t, replayPlan(failed.plan.seed, decisions), wire) }
	if !s.fails(s.best.plan.chosen) {
		failed.failure.err = fmt.Errorf("%w (it did not happen again in a second run: something that is not in the schedule decides)",
			failed.failure.err)
		return failed
	}
	for size := len(s.best.plan.chosen); size >= 1; size /= 2 {
		for s.without(size) {
		}
	}
	s.shorterDelays()
	return s.best
}

type shrinker struct {
	try      func(decisions []decision) *result
	best     *result
	deadline time.Time
	runs     int
}

// fails tries a list and keeps it when the same invariant breaks.
func (s *shrinker) fails(decisions []decision) bool {
	if s.runs == 0 || time.Now().After(s.deadline) {
		return false
	}
	s.runs--
	r := s.try(decisions)
	if r.failure == nil || r.failure.invariant != s.best.failure.invariant {
		return false
	}
	s.best = r // its plan has only the decisions that were met
	return true
}

// without leaves out the first size decisions in a row that are not needed; false when all are.
func (s *shrinker) without(size int) bool {
	all := s.best.plan.chosen
	for at := 0; at < len(all); at += size {
		rest := slices.Concat(all[:at], all[min(at+size, len(all)):])
		if s.fails(rest) {
			return true
		}
	}
	return false
}

// shorterDelays makes delays as short as they can be.
func (s *shrinker) shorterDelays() {
	delays := map[string]int{}
	for _, d := range s.best.plan.chosen {
		if d.fault == faultDelay {
			delays[d.label] = d.steps
		}
	}
	for _, label := range slices.Sorted(maps.Keys(delays)) {
		for steps := 1; steps < delays[label]; steps *= 2 {
			shorter := slices.Clone(s.best.plan.chosen)
			for i := range shorter {
				if shorter[i].label == label {
					shorter[i].steps = steps
				}
			}
			if s.fails(shorter) {
				break
			}
		}
	}
}
