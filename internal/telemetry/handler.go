package telemetry

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// Process returns middleware that times attempts; see [Core.NewTimer].
func (c *Core) Process(ages bool) leat.Middleware {
	return func(next leat.Handler) leat.Handler { return &timed{c.NewTimer(ages), next, time.Now()} }
}

// timed is a handler whose attempts are timed.
type timed struct {
	timer *Timer
	next  leat.Handler
	epoch time.Time // time.Since reads one clock, time.Now two
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

func (t *timed) Handle(ctx context.Context, e leat.Event) (err error) {
	began, returned := time.Since(t.epoch), false
	defer func() {
		outcome := Panicked // or the end of the goroutine
		if returned {
			outcome = OutcomeOf(err)
		}
		info, _ := leat.InfoFrom(ctx)
		t.timer.Took(ctx, &info, &e, time.Since(t.epoch)-began, outcome)
	}()
	err = t.next.Handle(ctx, e)
	returned = true
	return err
}
