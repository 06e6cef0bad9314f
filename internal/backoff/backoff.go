// Package backoff computes the delays between attempts: exponential, capped, with jitter.
//
//	policy := backoff.Policy{Initial: 100 * time.Millisecond, Max: 30 * time.Second, Multiplier: 2, Jitter: 0.2}
//	delay := policy.Delay(attempt, nil) // attempt counts from 1
package backoff

import (
	"math"
	"math/rand/v2"
	"time"
)

// Policy says how delays grow. It keeps no state, so that one value serves every event.
type Policy struct {
	// Initial is the delay after the first attempt, before jitter. 0 or less means no delay at all.
	Initial time.Duration
	// Max caps every delay. 0 or less means no cap but that of [time.Duration], 292 years.
	Max time.Duration
	// Multiplier is how much longer each delay is than the one before. Below 1, or NaN, it counts
	// as 1: a constant delay.
	Multiplier float64
	// Jitter is the share of a delay that chance may take away, from 0 (none) to 1 (all of it). It
	// is narrowed to that range; NaN counts as 0.
	Jitter float64
}

// Delay returns how long to wait after the given attempt, which counts from 1; anything less counts
// as 1. With
//
//	d = min(Max, Initial × Multiplier^(attempt-1))
//
// the delay is d - r×(Jitter×d) with r from [0,1), so it lies in (d×(1-Jitter), d]. Jitter takes
// away and never adds: Max stays a true upper bound, which limits of a broker can be checked
// against, and delays at the cap still spread, which they would not if the cap cut an addition off.
//
// random returns r; nil means [rand.Float64]. What it returns outside [0,1] is narrowed to it. No
// attempt overflows.
func (p Policy) Delay(attempt int, random func() float64) time.Duration {
	d := p.unjittered(max(attempt, 1))
	jitter := narrow(p.Jitter)
	if d == 0 || jitter == 0 {
		return d
	}
	if random == nil {
		random = rand.Float64
	}
	spread := scale(d, jitter)
	return d - scale(spread, narrow(random()))
}

// unjittered returns d of the formula.
func (p Policy) unjittered(attempt int) time.Duration {
	if p.Initial <= 0 {
		return 0
	}
	limit := p.Max
	if limit <= 0 {
		limit = math.MaxInt64
	}
	if p.Initial >= limit {
		return limit
	}
	multiplier := p.Multiplier
	if !(multiplier > 1) { // true for NaN too
		return p.Initial
	}
	d := float64(p.Initial) * math.Pow(multiplier, float64(attempt-1))
	if d >= float64(limit) { // +Inf included; what passes fits into an int64
		return limit
	}
	return time.Duration(d)
}

// scale returns share×d for a share from [0,1]. A float64 rounds durations above 104 days, up as
// well as down.
func scale(d time.Duration, share float64) time.Duration {
	if share == 1 {
		return d
	}
	return min(d, time.Duration(float64(d)*share))
}

// narrow returns f narrowed to [0,1], and 0 for NaN.
func narrow(f float64) float64 {
	if !(f > 0) {
		return 0
	}
	return min(f, 1)
}
