package bench

import "time"

// Result is what the rounds of a [Group] measured.
type Result struct {
	Group   Group
	samples [][]sample // by case, then by round
}

// sample is one round of one case.
type sample struct {
	events        int
	took, cpu     time.Duration
	allocs, bytes uint64
	heap          uint64 // of a Holder
}

func (s sample) perSecond() float64      { return float64(s.events) / s.took.Seconds() }
func (s sample) cpuPerEvent() float64    { return float64(s.cpu) / float64(s.events) }
func (s sample) allocsPerEvent() float64 { return float64(s.allocs) / float64(s.events) }
func (s sample) bytesPerEvent() float64  { return float64(s.bytes) / float64(s.events) }
func (s sample) heapMiB() float64        { return float64(s.heap) / (1 << 20) }

// Rounds returns how many rounds were run.
func (r *Result) Rounds() int { return len(r.samples[0]) }

// Ratio compares two cases by their throughput: in each round the one divided by the other, then
// the median of that.
func (r *Result) Ratio(of, to int) Estimate {
	ratios := make([]float64, r.Rounds())
	for i := range ratios {
		ratios[i] = r.samples[of][i].perSecond() / r.samples[to][i].perSecond()
	}
	return estimate(ratios)
}

// CPURatio compares two cases by their processor time per event, as Ratio does; 0 where that is not
// known.
func (r *Result) CPURatio(of, to int) Estimate {
	ratios := make([]float64, r.Rounds())
	for i := range ratios {
		if base := r.samples[to][i].cpuPerEvent(); base > 0 {
			ratios[i] = r.samples[of][i].cpuPerEvent() / base
		}
	}
	return estimate(ratios)
}

// HeapAbove returns how many MiB of heap a case holds more than another.
func (r *Result) HeapAbove(of, to int) Estimate { return r.above(of, to, sample.heapMiB) }

// AllocsAbove returns how many allocations per event a case has more than another.
func (r *Result) AllocsAbove(of, to int) Estimate { return r.above(of, to, sample.allocsPerEvent) }

// CPUAbove returns how many nanoseconds of processor time per event a case takes more than another.
func (r *Result) CPUAbove(of, to int) Estimate { return r.above(of, to, sample.cpuPerEvent) }

// above compares two cases by their difference in each round.
func (r *Result) above(of, to int, f func(sample) float64) Estimate {
	differences := make([]float64, r.Rounds())
	for i := range differences {
		differences[i] = f(r.samples[of][i]) - f(r.samples[to][i])
	}
	return estimate(differences)
}

// Heap returns the heap that a [Holder] held, in MiB.
func (r *Result) Heap(of int) Estimate { return r.estimate(of, sample.heapMiB) }

// Throughput returns the events per second of a case.
func (r *Result) Throughput(of int) Estimate { return r.estimate(of, sample.perSecond) }

// CPU returns the processor time per event of a case in nanoseconds, of all threads of the process;
// 0 where it is not known.
func (r *Result) CPU(of int) Estimate { return r.estimate(of, sample.cpuPerEvent) }

// Allocs returns the allocations per event of a case, of all goroutines of the process.
func (r *Result) Allocs(of int) Estimate { return r.estimate(of, sample.allocsPerEvent) }

// Bytes returns the bytes allocated per event of a case, of all goroutines of the process.
func (r *Result) Bytes(of int) Estimate { return r.estimate(of, sample.bytesPerEvent) }

func (r *Result) estimate(of int, f func(sample) float64) Estimate {
	values := make([]float64, r.Rounds())
	for i, s := range r.samples[of] {
		values[i] = f(s)
	}
	return estimate(values)
}

// index returns the place of a case, or -1.
func (r *Result) index(name string) int {
	for i, c := range r.Group.Cases {
		if c.Name == name {
			return i
		}
	}
	return -1
}
