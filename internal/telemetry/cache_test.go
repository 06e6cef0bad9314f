package telemetry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/telemetry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestACacheMakesEachValueOnce, and of keys that are too many one for all of them.
func TestACacheMakesEachValueOnce(t *testing.T) {
	var made atomic.Int64
	first := telemetry.FirstTexts(3)
	c := telemetry.Cache[string, string]{Bound: first.Of, Make: func(k string) string {
		made.Add(1)
		return "value of " + k
	}}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for i := range 1_000 {
				k := fmt.Sprint(i % 3)
				assert.Equal(t, "value of "+k, c.Of(k))
			}
		})
	}
	asking.Wait()
	assert.EqualValues(t, 3, made.Load())
	for i := range 10 {
		assert.Equal(t, "value of _OTHER", c.Of(fmt.Sprint("more ", i)))
	}
	assert.EqualValues(t, 4, made.Load())
}

// TestACacheKeepsSoManyValues and makes the others each time.
func TestACacheKeepsSoManyValues(t *testing.T) {
	made := map[int]int{}
	c := telemetry.Cache[int, int]{Most: 2, Bound: func(k int) int { return k }, Make: func(k int) int {
		made[k]++
		return 10 * k
	}}
	for range 2 {
		for k := range 4 {
			assert.Equal(t, 10*k, c.Of(k))
		}
	}
	assert.Equal(t, map[int]int{0: 1, 1: 1, 2: 2, 3: 2}, made)
}

// TestTheAgeOfAnEvent grows with the time, and is not below 0.
func TestTheAgeOfAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := telemetry.New(newBroker(t), telemetry.Options{}, func(int, telemetry.Labels) telemetry.Series { return nothing })
		defer c.Close()
		timer := c.NewTimer(true)
		made := time.Now().Add(time.Minute)
		e, err := leat.NewEvent("placed", &leat.EventOptions{ID: "1", Source: "/test", Time: made})
		require.NoError(t, err)
		for _, wait := range []time.Duration{0, time.Millisecond, 2 * time.Second, time.Minute, time.Hour, time.Millisecond} {
			time.Sleep(wait)
			age, known := timer.Age(&e)
			assert.True(t, known)
			assert.Equal(t, max(time.Since(made), 0), age)
		}
		_, known := timer.Age(new(leat.Event))
		assert.False(t, known)
	})
}
