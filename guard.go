package leat

import (
	"context"
	"fmt"
	"runtime/debug"
)

// crashError is a panic or runtime.Goexit of a handler as an error, with the stack.
type crashError struct{ text string }

func (c *crashError) Error() string { return c.text }

func panicked(who string, v any) error {
	return &crashError{fmt.Sprintf("%s panicked: %v\n%s", who, v, debug.Stack())}
}

// guard makes an error of a panic of h. It stands directly around the user's handler, inside all middleware, so that Retry and Logging
// see a panic as they see any error. A runtime.Goexit cannot be stopped: it ends the whole chain. The goroutine's last act then is to
// call the chain once more for the same attempt, and guard answers for the handler with what happened to it.
func guard(h Handler) Handler {
	return HandlerFunc(func(ctx context.Context, e Event) (err error) {
		a, ok := ctx.(*attempt)
		if !ok {
			a, _ = ctx.Value(attemptKey{}).(*attempt)
		}
		if a != nil {
			if crash := a.crash(); crash != nil {
				return crash
			}
		}
		defer func() {
			if v := recover(); v != nil {
				err = panicked("the handler", v)
			}
		}()
		return h.Handle(ctx, e)
	})
}
