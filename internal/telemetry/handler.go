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

func (t *timed) Handle(ctx context.Context, e leat.Event) (err error) {
	began, returned := time.Now(), false
	defer func() {
		outcome := Panicked // or the end of the goroutine
		if returned {
			outcome = OutcomeOf(err)
		}
		info, _ := leat.InfoFrom(ctx)
		t.timer.Took(ctx, &info, &e, time.Since(began), outcome)
	}()
	err = t.next.Handle(ctx, e)
	returned = true
	return err
}
