package telemetry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leatgo/leat/internal/telemetry"
	"github.com/stretchr/testify/assert"
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
