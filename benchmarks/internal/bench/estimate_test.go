package bench

import "testing"

func TestEstimateUsesOrderStatistics(t *testing.T) {
	values := make([]float64, 0, 15)
	for i := range 15 {
		values = append(values, float64((i*7)%15+1)) // 1 to 15, out of order
	}
	if got, want := estimate(values), (Estimate{Median: 8, Low: 4, High: 12}); got != want {
		t.Errorf("15 values: got %v, want %v", got, want)
	}
	if got, want := estimate([]float64{3, 1, 2, 4}), (Estimate{Median: 2.5, Low: 1, High: 4}); got != want {
		t.Errorf("4 values: got %v, want %v", got, want)
	}
	if got, want := estimate([]float64{6, 1, 2, 4, 3, 5}), (Estimate{Median: 3.5, Low: 1, High: 6}); got != want {
		t.Errorf("6 values: got %v, want %v", got, want)
	}
}
