package leat

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RunUntilIdle is [Run] for tools and tests: it also ends when all consumers are idle, and returns
// nil then. A Consumer is idle when it has had nothing to do for the time idle: nothing was
// received, and nothing is in flight, of which retries that wait are a part. It is not idle while
// it is paused, while its poison queue or its broker is down, and before it has subscribed and its
// stream is assigned what it should receive, where the broker has such a thing: a stream with a
// method
//
//	Assigned() bool
//
// tells. Kafka's group takes seconds for that. On RabbitMQ and NATS, a stream that stands by does
// not know it, and is idle, unless its group is [ReplayGroup].
//
// idle is at least 1 ms, and should be longer than the broker takes to deliver an event. Another
// value is an error with [CodeInvalid].
func RunUntilIdle(ctx context.Context, idle time.Duration, consumers ...*Consumer) error {
	if idle < time.Millisecond {
		return &Error{Op: "run", Code: CodeInvalid, Err: fmt.Errorf("idle is %v; it is at least 1ms", idle)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if awaitIdle(over, idle, consumers) {
			cancel(errIdle)
		}
	}()
	err := Run(ctx, consumers...)
	close(over)
	<-watched
	return err
}

var errIdle = errors.New("all consumers are idle")

// idleLooks is how often a Consumer is looked at in the time after which it is idle.
const idleLooks = 10

// awaitIdle returns true when all consumers are idle, and false when over is closed before.
func awaitIdle(over <-chan struct{}, idle time.Duration, consumers []*Consumer) bool {
	look := time.NewTicker(idle / idleLooks)
	defer look.Stop()
	for {
		select {
		case <-over:
			return false
		case <-look.C:
		}
		all := true
		for _, c := range consumers { // all of them, since one that is not well is not idle from now on
			all = c.idleFor(idle) && all
		}
		if all {
			return true
		}
	}
}

// assigner is implemented by a Stream that has to wait until the broker says what it receives.
type assigner interface{ Assigned() bool }

// idleFor reports whether c has had nothing to do for d.
func (c *Consumer) idleFor(d time.Duration) bool {
	if c == nil { // which Run refuses
		return false
	}
	c.mu.Lock()
	e := c.engine
	if e == nil || e.stream == nil {
		c.mu.Unlock()
		return false
	}
	stream := e.stream
	c.mu.Unlock()
	ready := true
	if a, ok := stream.(assigner); ok {
		ready = a.Assigned()
	}
	for _, part := range []any{stream, c.broker} {
		if r, ok := part.(HealthReporter); ok && ready {
			ready = r.Health() == nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ready || e.busy() {
		e.idleSince = 0
		return false
	}
	if e.idleSince == 0 {
		e.idleSince = e.now()
	}
	return e.now()-e.idleSince >= d
}

// busy reports whether the engine has something to do. The lock is held.
func (e *engine) busy() bool {
	return e.all.count > e.park.aside || e.poison.running > 0 || e.poison.down != nil || e.pausedNow() ||
		e.flushing > 0 || len(e.later)+len(e.after) > 0
}

// noteIdle begins to count anew the time for which the engine has had nothing to do: something was
// received just now, or set aside. The lock is held.
func (e *engine) noteIdle() { e.idleSince = 0 }
