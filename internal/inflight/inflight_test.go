package inflight_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/internal/inflight"
	"github.com/stretchr/testify/assert"
)

// A Wait ends although more is added all the time.
func TestWaitEndsUnderSteadyTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inflight.New()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				phase := c.Add(1)
				time.AfterFunc(time.Second, func() { c.Done(phase) })
				time.Sleep(100 * time.Millisecond)
			}
		}()
		time.Sleep(2 * time.Second)
		began := time.Now()
		assert.True(t, c.Wait(ctx))
		assert.Less(t, time.Since(began), 3*time.Second)
		assert.Positive(t, c.Left())
		cancel()
		time.Sleep(2 * time.Second)
	})
}

// What a Wait gave up on is not forgotten by the next.
func TestWaitAfterOneThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inflight.New()
		phase := c.Add(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.False(t, c.Wait(ctx))
		assert.EqualValues(t, 1, c.Left())
		done := make(chan bool, 1)
		go func() { done <- c.Wait(t.Context()) }()
		synctest.Wait()
		assert.Empty(t, done)
		c.Done(phase)
		assert.True(t, <-done)
		assert.Zero(t, c.Left())
	})
}
