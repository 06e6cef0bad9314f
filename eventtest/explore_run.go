package eventtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// runTimeout is how much real time one run may take.
	runTimeout = 30 * time.Second
	// stopTimeout is how much of the bubble's time services may take to return when a run is over.
	// It is longer than a ShutdownTimeout.
	stopTimeout = 10 * time.Minute
)

// result is what came of one run.
type result struct {
	plan    *plan
	failure *failure
	trace   []line
}

// execute1 makes one run, in a bubble of its own. A run that does not end is given up, and its
// goroutines are left to themselves.
func execute1(t *testing.T, p *plan, wire func(x *Exploration)) *result {
	t.Helper()
	results := make(chan *result, 1)
	bubble := make(chan string, 1)
	go func() {
		trouble := "the run ended its goroutine"
		defer func() {
			if v := recover(); v != nil {
				trouble = fmt.Sprintf("%v; a goroutine of a service is left", v)
			}
			bubble <- trouble
		}()
		synctest.Test(t, func(*testing.T) { results <- explore(p, wire) })
		trouble = ""
	}()
	timer := time.NewTimer(p.limit)
	defer timer.Stop()
	var trouble string
	select {
	case trouble = <-bubble:
	case <-timer.C:
		trouble = fmt.Sprintf("it took more than %v of real time: a service is busy without end, holds a lock that another waits for, "+
			"or waits for what is outside of the bubble", p.limit)
	}
	r := &result{plan: p}
	select {
	case r = <-results:
	default:
	}
	if r.failure == nil && trouble != "" {
		r.failure = &failure{"the run ends", errors.New(trouble)}
	}
	return r
}

// explore is a run, inside of its bubble.
func explore(p *plan, wire func(x *Exploration)) *result {
	c := newChaos(p)
	x := &Exploration{c: c, rand: rand.New(rand.NewPCG(p.seed, 2))}
	c.wire(x, wire)
	x.addPublisher()
	for _, outside := range []bool{false, true} {
		for _, s := range c.services {
			if s.outside == outside {
				c.start(s)
				synctest.Wait()
			}
		}
	}
	c.run()
	if c.failed() == nil {
		x.check()
	}
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	return &result{plan: p, failure: c.failure, trace: c.trace}
}

// wire calls the user's function, in a goroutine that it may end.
func (c *chaos) wire(x *Exploration, wire func(x *Exploration)) {
	done := make(chan struct{})
	ended := errors.New("the function ended its goroutine")
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				ended = fmt.Errorf("the function panicked: %v\n%s", v, debug.Stack())
			}
			if ended != nil {
				c.fail("wiring", ended)
			}
		}()
		wire(x)
		ended = nil
	}()
	<-done
}

// stop ends all services and waits until they have returned.
func (c *chaos) stop() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	for _, s := range c.services {
		if s.life != nil && !s.life.dead {
			s.life.fence()
		}
	}
	synctest.Wait()
	for end := time.Now().Add(stopTimeout); ; {
		name := c.stillRunning()
		if name == "" {
			return
		}
		if !c.stirred(time.Until(end)) {
			c.fail(name+" stops", fmt.Errorf("its function did not return within %v after its context had ended", stopTimeout))
			return
		}
	}
}

func (c *chaos) stillRunning() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.services {
		if s.running {
			return s.name
		}
	}
	return ""
}

// handleOf returns the life of a service that a context belongs to; nil for a context that is of
// none.
func handleOf(ctx context.Context) *handle {
	h, _ := ctx.Value(handleKey{}).(*handle)
	return h
}
