package eventtest

import (
	"sync"
	"time"
)

// Pacer is a [Harness] of a broker that is slower than one in memory, or that takes several cases
// at a time. Without it the suite keeps the pace of memory.
type Pacer interface {
	Pace() Pace
}

// Pace is what a broker's own work takes. A zero field means the pace of memory. None of it moves a
// bound of the contract, such as the 250 ms of P3 and R1.
type Pace struct {
	// Patience and Quiet are the defaults of the options of these names. A broker that is killed
	// has to be back, and to deliver again, within Patience.
	Patience, Quiet time.Duration
	// Operation is the longest that one operation of a healthy broker takes: to declare a group, to
	// open or close a stream, to move keys when a stream has joined. The suite adds it where it
	// measures an operation of the broker, keeps streams open for so long that they get their
	// share, and bounds a shutdown that has to be clean by it.
	Operation time.Duration
	// OfKey is how many deliveries of one key a stream hands out at most before the first of them
	// is settled, where it withholds later ones (R3). 0 means that it withholds nothing.
	OfKey int
	// Parallel is how many cases may run at a time; 0 means one. More needs a harness whose methods
	// may be called at the same time, and a broker where a group of one topic does not notice that
	// one of the same name on another topic changes. Cases that kill, pause or cut the broker have
	// it for themselves, after these; those that measure the process run last, one by one. A broker
	// that takes one case at a time may have others beside it ([Options.Beside]).
	Parallel int
}

// paceOf returns the pace of a harness.
func paceOf(h Harness) Pace {
	if p, ok := h.(Pacer); ok {
		return p.Pace()
	}
	return Pace{}
}

// stalls measures for how long the machine keeps this process waiting: a goroutine of its own waits
// for a timer again and again, and adds up how late it wakes. A bound of some 100 ms of wall clock
// would otherwise measure the machine that the test runs on and not the adapter. An adapter that
// blocks is not excused by it, as that makes no timer late.
type stalls struct {
	stop, over chan struct{}

	mu    sync.Mutex
	total time.Duration
	due   time.Time // when the goroutine should wake next
}

// stallStep is how long the goroutine waits at a time. It does not count as a stall when it wakes
// up to stallNoise late, as it does on any busy machine: the bounds have room for some of these,
// and what is slow for another reason is to be seen there too.
const (
	stallStep  = 5 * time.Millisecond
	stallNoise = 10 * time.Millisecond
)

func measureStalls() *stalls {
	s := &stalls{stop: make(chan struct{}), over: make(chan struct{}), due: time.Now().Add(stallStep)}
	go s.measure()
	return s
}

func (s *stalls) measure() {
	defer close(s.over)
	ticker := time.NewTimer(stallStep)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.stop:
			return
		}
		s.mu.Lock()
		s.total += s.late()
		s.due = time.Now().Add(stallStep)
		s.mu.Unlock()
		ticker.Reset(stallStep)
	}
}

// late is how late the goroutine is now. The lock is held.
func (s *stalls) late() time.Duration {
	if late := time.Since(s.due); late > stallNoise {
		return late
	}
	return 0
}

// soFar returns the sum of all stalls, one that lasts included.
func (s *stalls) soFar() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total + s.late()
}

func (s *stalls) end() {
	close(s.stop)
	<-s.over
}

// stopwatch measures time without the machine's own stalls.
type stopwatch struct {
	stalls  *stalls
	began   time.Time
	stalled time.Duration // when it began
}

// stopwatch begins to measure.
func (r *run) stopwatch() stopwatch {
	return stopwatch{stalls: r.stalls, began: time.Now(), stalled: r.stalls.soFar()}
}

func (w stopwatch) took() time.Duration {
	return max(0, time.Since(w.began)-(w.stalls.soFar()-w.stalled))
}

// closedWithin waits until done is closed, at most for d by a stopwatch, and reports whether it is.
func (r *run) closedWithin(done <-chan struct{}, d time.Duration) bool {
	w := r.stopwatch()
	for left := d; ; left = d - w.took() {
		timer := time.NewTimer(max(0, left))
		select {
		case <-done:
			timer.Stop()
			return true
		case <-timer.C:
		}
		if left <= 0 {
			return false
		}
	}
}
