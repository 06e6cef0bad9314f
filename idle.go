package leat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat/internal/aside"
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
// Events that cannot be settled do not keep it from being idle: those that were rejected without a
// poison queue, those that the poison queue refuses, and the later events of their keys. When
// nothing else is left, RunUntilIdle returns an [*Error] with [CodePoisonQueue] that says how many
// they are. They go back to the broker.
//
// idle is at least 1 ms, and should be longer than the broker takes to deliver an event. Another
// value is an error with [CodeInvalid].
func RunUntilIdle(ctx context.Context, idle time.Duration, consumers ...*Consumer) error {
	if idle < time.Millisecond {
		return &Error{Op: "run", Code: CodeInvalid, Err: fmt.Errorf("idle is %v; it is at least 1ms", idle)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var left error
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if awaitIdle(over, idle, consumers) {
			left = unsettled(consumers)
			noteHeld(ctx, consumers)
			cancel(errIdle)
		}
	}()
	err := Run(ctx, consumers...)
	close(over)
	<-watched
	if left == nil {
		return err
	}
	return errors.Join(err, left)
}

// unsettled returns an error that says which events of idle consumers cannot be settled, or nil.
func unsettled(consumers []*Consumer) error {
	errs := make([]error, 0, len(consumers))
	for _, c := range consumers {
		errs = append(errs, c.unsettled())
	}
	return errors.Join(errs...)
}

// unsettled is the same for one.
func (c *Consumer) unsettled() error {
	c.mu.Lock()
	e := c.engine
	if e == nil {
		c.mu.Unlock()
		return nil
	}
	all, stuck, refused := e.all.count-e.park.aside, e.park.stuck, e.poison.refused
	var cause error
	if it := e.oldestRefused(); it != nil {
		cause = it.trouble.refusal
	}
	c.mu.Unlock()
	if stuck+refused == 0 {
		return nil
	}
	err := fmt.Errorf("%d rejected, and there is no poison queue; set ConsumerOptions.PoisonQueue", stuck)
	if cause != nil { // foreign code, so the lock is free
		err = fmt.Errorf("%d refused by the poison queue; %s: %w", refused, refusalAdvice(cause), cause)
	}
	return &Error{Op: "run", Topic: c.sub.Topic, Code: CodePoisonQueue, Err: fmt.Errorf(
		"%s unsettled and went back to the broker: %w", count(all, "event stays", "events stay"), err)}
}

// noteHeld tells the package poison what the idle consumers hold.
func noteHeld(ctx context.Context, consumers []*Consumer) {
	held, ok := ctx.Value(aside.HeldKey{}).(*aside.Held)
	if !ok {
		return
	}
	for _, c := range consumers {
		c.mu.Lock()
		if c.engine != nil {
			held.Events += c.engine.all.count
			held.Bytes += c.engine.all.bytes
		}
		c.mu.Unlock()
	}
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
	return e.poison.down != nil || e.pausedNow() || e.flushing > 0 || len(e.later)+len(e.after) > 0 || e.movable()
}

// movable reports whether anything in flight can be settled without help from outside. What waits
// in a lane cannot, unless its first can. The lock is held.
func (e *engine) movable() bool {
	if e.park.stuck+e.poison.refused == 0 {
		return e.all.count > e.park.aside || e.poison.running > 0
	}
	for it := e.all.oldest; it != nil; it = it.newer {
		stuck := it.state == itemParked && it.parkIndex < 0 // or set aside
		if !stuck && !it.refused() && it.state != itemWaiting {
			return true
		}
	}
	return false
}

// noteIdle begins to count anew the time for which the engine has had nothing to do: something was
// received just now, or set aside. The lock is held.
func (e *engine) noteIdle() { e.idleSince = 0 }
