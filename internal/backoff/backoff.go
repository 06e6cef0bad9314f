package backoff

import (
	"math"
	"time"
)

type Policy struct {
	Initial, Max       time.Duration
	Multiplier, Jitter float64
}

func (p Policy) Delay(attempt int, rand func() float64) time.Duration {
	d := float64(p.Initial) * math.Pow(p.Multiplier, float64(attempt-1))
	d = min(d, float64(p.Max))
	return time.Duration(d * (1 - p.Jitter*rand()))
}
