package telemetry

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// Process returns middleware that times attempts; see [Core.NewTimer].
func (c *Core) Process(ages bool) leat.Middleware {
	return func(next leat.Handler) leat.Handler { return &timed{c.NewTimer(ages), next} }
}

// timed is a handler whose attempts are timed.
type timed struct {
	timer *Timer
	next  leat.Handler
}

// Check passes on what the inner handler says of a subscription.
func (t *timed) Check(sub leat.Subscription) error { return Check(t.next, sub) }

// Check asks a handler, where it can tell, whether it fits a subscription.
func Check(h leat.Handler, sub leat.Subscription) error {
	if c, ok := h.(interface {
		Check(sub leat.Subscription) error
	}); ok {
		return c.Check(sub)
	}
	return nil
}

func (t *timed) Handle(ctx context.Context, e leat.Event) error {
	return t.timer.Handle(ctx, t.next, e, func(a Attempt) {
		info, _ := leat.InfoFrom(ctx)
		t.timer.Took(ctx, &info, &e, a)
	})
}

// Attempt is how a handler ended.
type Attempt struct {
	Outcome string // see [OutcomeOf]

	took, ended time.Duration
}

// Handle calls next, and then ended, also where next panics or ends its goroutine.
func (t *Timer) Handle(ctx context.Context, next leat.Handler, e leat.Event, ended func(a Attempt)) (err error) {
	began, returned := t.clock.now(), false
	defer func() {
		a := Attempt{Outcome: Panicked, ended: t.clock.now()} // or the end of the goroutine
		if a.took = a.ended - began; returned {
			a.Outcome = OutcomeOf(err)
		}
		ended(a)
	}()
	err = next.Handle(ctx, e)
	returned = true
	return err
}

// Age returns how old an event is whose handler begins, and false where it has no time.
func (t *Timer) Age(e *leat.Event) (age time.Duration, ok bool) {
	at := e.Time()
	if at.IsZero() {
		return 0, false
	}
	return t.clock.age(at, t.clock.now()), true
}
