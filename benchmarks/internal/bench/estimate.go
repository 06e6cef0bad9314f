package bench

import (
	"math"
	"slices"
)

// Estimate is a median with its interval.
type Estimate struct {
	Median, Low, High float64
}

// estimate returns the median of values, and the interval between two of them that holds the true
// median with a probability of at least 95 %, whatever the distribution: the number of values below
// the true median is binomial with p = 1/2. With 15 values it is the 4th from either end (96.5 %).
// Fewer than 6 values cannot give that; the interval is then all of them.
func estimate(values []float64) Estimate {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	median := (sorted[(n-1)/2] + sorted[n/2]) / 2
	skip := outside(n)
	return Estimate{Median: median, Low: sorted[skip], High: sorted[n-1-skip]}
}

// outside returns how many of n ordered values lie outside of the interval on either side: the
// largest k for which k or fewer heads in n tosses come with a probability of at most 2.5 %, or 0
// when there is no such k.
func outside(n int) int {
	probability := math.Pow(0.5, float64(n)) // of k heads
	sum, k := probability, 0                 // sum: of at most k heads
	for sum <= 0.025 {
		probability *= float64(n-k) / float64(k+1)
		sum += probability
		k++
	}
	return max(k-1, 0)
}
