package lifecycle_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/stretchr/testify/assert"
)

func TestWaitAwaitsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lifecycle.Tasks
		g.Wait() // for nothing
		var ended atomic.Int32
		g.Go(func() {
			time.Sleep(time.Second)
			g.Go(func() { // begins while others wait
				time.Sleep(time.Second)
				ended.Add(1)
			})
			ended.Add(1)
		})
		g.AfterFunc(3*time.Second, func() {
			time.Sleep(time.Second)
			ended.Add(1)
		})
		stopped := g.AfterFunc(time.Hour, func() { ended.Add(1) })
		stopped.Stop()
		stopped.Stop()
		began := time.Now()
		g.Wait()
		assert.Equal(t, 4*time.Second, time.Since(began))
		assert.EqualValues(t, 3, ended.Load())
		g.Go(func() {}) // it can be used again
		g.Wait()
	})
}

// A timer that has fired is awaited, also when it is stopped then.
func TestStopOfATimerThatHasFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lifecycle.Tasks
		timer := g.AfterFunc(time.Second, func() { time.Sleep(time.Second) })
		time.Sleep(1500 * time.Millisecond)
		timer.Stop()
		began := time.Now()
		g.Wait()
		assert.Equal(t, 500*time.Millisecond, time.Since(began))
	})
}
