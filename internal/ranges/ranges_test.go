package ranges_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/internal/ranges"
)

type mode uint8

func TestRanges(t *testing.T) {
	for _, err := range []error{
		ranges.Int("N", 0, 2, 5), ranges.Int("N", 2, 2, 5), ranges.Int("N", 5, 2, 5), ranges.Duration("D", 0, time.Second, time.Minute),
		ranges.Duration("D", time.Minute, time.Second, time.Minute), ranges.Float("F", 1, 1, 2), ranges.Float("F", 0, 1, 2),
		ranges.Enum("E", mode(1), 1),
	} {
		assert.NoError(t, err)
	}
	for _, value := range []int{-1, 1, 6, math.MinInt, math.MaxInt} {
		assert.EqualError(t, ranges.Int("O.N", value, 2, 5), "O.N is out of its range; use 2 to 5, or 0 for the default")
	}
	for _, value := range []time.Duration{-1, 1, time.Minute + 1} {
		assert.EqualError(t, ranges.Duration("O.D", value, time.Second, time.Minute),
			"O.D is out of its range; use 1s to 1m0s, or 0 for the default")
	}
	for _, value := range []float64{math.NaN(), math.Inf(1), -1, 0.5, 2.5} {
		assert.EqualError(t, ranges.Float("O.F", value, 1, 2), "O.F is out of its range; use 1 to 2, or 0 for the default")
	}
	assert.EqualError(t, ranges.Enum("O.E", mode(2), 1), "O.E is out of its range; use a constant of its type")
}
