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
	a := t.timer.Begin(e)
	return t.timer.Handle(ctx, t.next, &a, func() {
		info, _ := leat.InfoFrom(ctx)
		t.timer.Took(ctx, &info, &a)
	})
}

// Attempt is an attempt of a handler.
type Attempt struct {
	// Outcome is known when the attempt has ended; see [OutcomeOf].
	Outcome string

	event        leat.Event
	began, ended time.Duration
	age          time.Duration // of the event when the attempt began, once somebody asked for it
	known        ageKnown
}

// ageKnown says what is known of the age of an event, whose time is text that takes long to read.
type ageKnown uint8

const (
	ageUnread ageKnown = iota
	ageRead
	ageMissing
)

// Begin returns the attempt that begins now.
func (t *Timer) Begin(e leat.Event) Attempt { return Attempt{event: e, began: t.clock.now()} }

// Age returns how old the event was when the attempt began, and false where it has no time.
func (t *Timer) Age(a *Attempt) (age time.Duration, ok bool) {
	if a.known == ageUnread {
		if at := a.event.Time(); at.IsZero() {
			a.known = ageMissing
		} else {
			a.age, a.known = t.clock.age(at, a.began), ageRead
		}
	}
	return a.age, a.known == ageRead
}

// Handle calls next, and then ended, also where next panics or ends its goroutine.
func (t *Timer) Handle(ctx context.Context, next leat.Handler, a *Attempt, ended func()) (err error) {
	a.Outcome = Panicked // or the end of the goroutine
	returned := false
	defer func() {
		if a.ended = t.clock.now(); returned {
			a.Outcome = OutcomeOf(err)
		}
		ended()
	}()
	err = next.Handle(ctx, a.event)
	returned = true
	return err
}
