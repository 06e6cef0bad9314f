package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// Timeout gives each attempt a deadline, d after it began. A d of 0 means none; with a negative
// one, [leat.Run] refuses the Consumer.
//
// The handler sees its context end and must return; Timeout waits until it has, because an
// abandoned handler would still run when the event is handled again. If it then returns an error,
// that says that it timed out after d, is [context.DeadlineExceeded] to errors.Is, and keeps the
// handler's own error and decision; if it returns nil all the same, the event is handled.
//
// The context of what lies further out, such as [Idempotent] and [Retry], keeps its own end. The
// cause ([context.Cause]) of the handler's context is an [*leat.Error] with [leat.CodeHandler].
func Timeout(d time.Duration) leat.Middleware {
	if d < 0 {
		return unfit(errors.New("Timeout was made with a negative duration; use a positive one, or 0 for none"))
	}
	if d == 0 {
		return func(next leat.Handler) leat.Handler { return next }
	}
	timedOut := &leat.Error{Op: "handle", Code: leat.CodeHandler, Err: timeoutError(d)}
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			ctx, cancel := context.WithTimeoutCause(ctx, d, timedOut)
			defer cancel()
			err := next.Handle(ctx, e)
			// The cause tells this deadline from one further out, and from the Consumer's end of
			// the handler.
			if err == nil || !errors.Is(context.Cause(ctx), timedOut) || errors.Is(err, timedOut) {
				return err
			}
			return fmt.Errorf("%w: %w", timedOut, err)
		})
	}
}

// timeoutError says after how long a handler timed out.
type timeoutError time.Duration

func (e timeoutError) Error() string { return "timed out after " + time.Duration(e).String() }

func (e timeoutError) Unwrap() error { return context.DeadlineExceeded }
