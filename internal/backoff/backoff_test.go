package backoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/internal/backoff"
)

func constant(f float64) func() float64 { return func() float64 { return f } }

func TestDelay(t *testing.T) {
	engine := backoff.Policy{Initial: 100 * time.Millisecond, Max: 30 * time.Second, Multiplier: 2, Jitter: 0.2}
	const ms = time.Millisecond
	for _, c := range []struct {
		name    string
		policy  backoff.Policy
		attempt int
		random  float64
		want    time.Duration
	}{
		{"the first delay is Initial", engine, 1, 0, 100 * ms},
		{"the second is doubled", engine, 2, 0, 200 * ms},
		{"the ninth is the last below the cap", engine, 9, 0, 25_600 * ms},
		{"the tenth is capped", engine, 10, 0, 30_000 * ms},
		{"a huge attempt is capped", engine, math.MaxInt, 0, 30_000 * ms},
		{"attempt 0 counts as 1", engine, 0, 0, 100 * ms},
		{"a negative attempt counts as 1", engine, math.MinInt, 0, 100 * ms},
		{"jitter takes half of its share away", engine, 1, 0.5, 90 * ms},
		{"jitter takes at most its share away", engine, 1, 1, 80 * ms},
		{"delays at the cap spread too", engine, 1000, 0.5, 27_000 * ms},
		{"a random above 1 counts as 1", engine, 1, 7, 80 * ms},
		{"a negative random counts as 0", engine, 1, -7, 100 * ms},
		{"a random NaN counts as 0", engine, 1, math.NaN(), 100 * ms},
		{"the zero policy does not wait", backoff.Policy{}, 5, 0, 0},
		{"a negative Initial does not wait", backoff.Policy{Initial: -1, Max: time.Second}, 5, 0, 0},
		{"Initial above Max is capped", backoff.Policy{Initial: time.Minute, Max: time.Second}, 1, 0, time.Second},
		{"no Multiplier is constant", backoff.Policy{Initial: time.Second}, 9, 0, time.Second},
		{"a Multiplier below 1 is constant", backoff.Policy{Initial: time.Second, Multiplier: 0.5}, 9, 0, time.Second},
		{"a Multiplier NaN is constant", backoff.Policy{Initial: time.Second, Multiplier: math.NaN()}, 9, 0, time.Second},
		{"a fractional Multiplier is not truncated", backoff.Policy{Initial: time.Second, Multiplier: 1.5}, 3, 0, 2250 * ms},
		{"an infinite Multiplier is capped", backoff.Policy{Initial: 1, Multiplier: math.Inf(1), Max: time.Second}, 2, 0, time.Second},
		{"no Max ends at the longest Duration", backoff.Policy{Initial: 1, Multiplier: 2}, 64, 0, math.MaxInt64},
		{"the longest Duration takes jitter", backoff.Policy{Initial: math.MaxInt64, Jitter: 1}, 1, 1, 0},
		{"a Jitter above 1 counts as 1", backoff.Policy{Initial: time.Second, Jitter: 9}, 1, 1, 0},
		{"a negative Jitter counts as 0", backoff.Policy{Initial: time.Second, Jitter: -1}, 1, 1, time.Second},
		{"a Jitter NaN counts as 0", backoff.Policy{Initial: time.Second, Jitter: math.NaN()}, 1, 1, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, c.policy.Delay(c.attempt, constant(c.random)))
		})
	}
}

func TestDelayStaysInItsRange(t *testing.T) {
	for _, p := range []backoff.Policy{
		{Initial: 100 * time.Millisecond, Max: 30 * time.Second, Multiplier: 2, Jitter: 0.2},
		{Initial: 1, Multiplier: 1.1, Jitter: 1},
		{Initial: math.MaxInt64 - 1, Max: math.MaxInt64, Multiplier: 3, Jitter: 0.999999},
	} {
		plain := p
		plain.Jitter = 0
		before := time.Duration(0)
		for attempt := 1; attempt < 2000; attempt++ {
			d := plain.Delay(attempt, nil)
			assert.GreaterOrEqual(t, d, before, "delays never get shorter: %+v, attempt %d", p, attempt)
			before = d
			lowest := p.Delay(attempt, constant(1))
			for range 10 {
				got := p.Delay(attempt, nil)
				assert.LessOrEqual(t, got, d, "jitter never adds: %+v, attempt %d", p, attempt)
				assert.GreaterOrEqual(t, got, lowest, "jitter takes at most its share: %+v, attempt %d", p, attempt)
				assert.GreaterOrEqual(t, got, time.Duration(0), "never negative: %+v, attempt %d", p, attempt)
			}
		}
	}
}

func TestDelayDoesNotAllocate(t *testing.T) {
	p := backoff.Policy{Initial: time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: 0.2}
	assert.Zero(t, testing.AllocsPerRun(100, func() { p.Delay(7, nil) }))
}

func FuzzDelay(f *testing.F) {
	f.Add(int64(100), int64(1000), 2.0, 0.2, 5, 0.5)
	f.Add(int64(math.MaxInt64), int64(0), math.Inf(1), math.NaN(), math.MaxInt, -1.0)
	f.Fuzz(func(t *testing.T, initial, limit int64, multiplier, jitter float64, attempt int, r float64) {
		p := backoff.Policy{Initial: time.Duration(initial), Max: time.Duration(limit), Multiplier: multiplier, Jitter: jitter}
		d := p.Delay(attempt, constant(r))
		if d < 0 || limit > 0 && int64(d) > limit {
			t.Fatalf("%+v attempt %d random %v: %v is outside [0, Max]", p, attempt, r, d)
		}
	})
}
