package telemetry

import (
	"sync/atomic"
	"time"
)

// clock tells the time since it began, with one reading of the machine's clock, and the age of
// events, with no other: time.Now takes two.
type clock struct {
	began time.Time
	wall  atomic.Pointer[wallTime]
}

// wallTime is a reading of the wall clock.
type wallTime struct {
	at   time.Time
	then time.Duration // since the clock began
}

// readWallEvery is how often the wall clock is read, which somebody may set.
const readWallEvery = time.Second

func (c *clock) now() time.Duration { return time.Since(c.began) }

// age returns how old an event of that time is now. It is below 0 where the clocks of two machines
// differ.
func (c *clock) age(of time.Time, now time.Duration) time.Duration {
	w := c.wall.Load()
	if w == nil || now-w.then >= readWallEvery {
		w = &wallTime{time.Now().Round(0), now}
		c.wall.Store(w)
	}
	return w.at.Sub(of) + now - w.then
}
