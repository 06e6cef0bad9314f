package eventtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestStopwatchLeavesOutStalls: what the machine takes is not what the adapter takes, and an
// adapter that blocks stalls no machine.
func TestStopwatchLeavesOutStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{session: &session{stalls: measureStalls()}}
		w := r.stopwatch()
		time.Sleep(300 * time.Millisecond)
		assert.Equal(t, 300*time.Millisecond, w.took(), "an adapter that blocks is not excused")

		never := make(chan struct{})
		began := time.Now()
		assert.False(t, r.closedWithin(never, time.Second))
		assert.Equal(t, time.Second, time.Since(began))

		w = r.stopwatch()
		r.stalls.end() // as if its goroutine could not run
		time.Sleep(stallNoise)
		assert.Equal(t, stallNoise, w.took(), "a short one does not count")
		time.Sleep(700 * time.Millisecond)
		assert.LessOrEqual(t, w.took(), stallStep, "a stall is not the adapter's time")
	})
}
