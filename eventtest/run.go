package eventtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// run is one case that runs. Its methods fail the case by ending its goroutine, as those of
// testing.T do.
type run struct {
	*session

	h    Harness         // the one that the case runs on
	ctx  context.Context // ends when the case is over, or took too long
	rand *rand.Rand

	mu       sync.Mutex
	seen     []string // why it failed
	skipped  string   // why it was skipped
	cleanups []func()

	published int // rounds of events with ids of their own; for the case's goroutine
}

// failf notes what was seen and ends the case. Only the case's own goroutine may call it.
func (r *run) failf(format string, args ...any) {
	r.notef(format, args...)
	runtime.Goexit()
}

// notef fails the case and lets it go on. Any goroutine may call it.
func (r *run) notef(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) < 20 {
		r.seen = append(r.seen, fmt.Sprintf(format, args...))
	}
}

// must fails the case when err is not nil.
func (r *run) must(err error, doing string) {
	if err != nil {
		r.failf("%s: %v", doing, err)
	}
}

// cleanup calls f when the case is over, last in first out.
func (r *run) cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// open returns a new instance of the adapter, which is closed when the case is over.
func (r *run) open() leat.Broker {
	b, err := r.h.Open(r.ctx)
	r.must(err, "opening the adapter")
	r.cleanup(func() {
		if err := b.Close(); err != nil {
			r.notef("closing the adapter: %v", err)
		}
	})
	return b
}

// eventually waits until ok returns true, and fails the case when that does not happen in time.
func (r *run) eventually(what string, ok func() bool) {
	waited := r.stopwatch()
	for wait := 100 * time.Microsecond; !ok(); wait = min(2*wait, 20*time.Millisecond) {
		if waited.took() > r.opts.Patience || r.ctx.Err() != nil {
			r.failf("waited %v (Options.Patience) in vain until %s", r.opts.Patience, what)
		}
		pause(wait)
	}
}

// pause lets d pass. The suite only ever waits for a state, by eventually, or for the absence of
// one, for which nothing but time serves.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// execute runs a case on h to its end.
func (s *session) execute(c *Case, h Harness) Result {
	seed, o := s.opts.Seed, s.opts
	ctx, cancel := context.WithTimeout(context.Background(), o.CaseTimeout)
	defer cancel()
	r := &run{session: s, h: h, ctx: ctx, rand: rand.New(rand.NewPCG(seed, 0))}
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.clean()
		defer func() {
			if v := recover(); v != nil {
				r.notef("a panic: %v\n%s", v, debug.Stack())
			}
		}()
		c.check(r)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select { // cleaning up gets a little more
		case <-done:
		case <-time.After(o.Patience):
			r.notef("the case did not end within %v, and its goroutines still run: a call into the adapter or the harness does not "+
				"return, where it has to end when its ctx ends; go test -timeout prints where it hangs", o.CaseTimeout+o.Patience)
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.notef("the case took longer than %v (Options.CaseTimeout)", o.CaseTimeout)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	result := Result{
		Case: c.Name, Level: c.Level, Rule: c.Rule, Status: Passed, Seed: seed, Seconds: time.Since(began).Seconds(), Seen: r.seen,
	}
	switch {
	case len(r.seen) > 0:
		result.Status = Failed
	case r.skipped != "":
		result.Status, result.Seen = Skipped, []string{r.skipped}
	}
	return result
}

func (r *run) clean() {
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		last()
	}
}
