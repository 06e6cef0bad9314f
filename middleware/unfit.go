package middleware

import (
	"context"

	"github.com/leatgo/leat"
)

// unfit returns the Handler of a middleware that was made with wrong options. [leat.Run] asks it
// before the first event, and refuses the Consumer. Where nobody asks, such as within a middleware
// of the user's own, every event pauses the Consumer: the options are to blame, and not the event.
func unfit(err error) leat.Middleware {
	return func(leat.Handler) leat.Handler { return unfitHandler{err} }
}

type unfitHandler struct{ err error }

// Check tells [leat.Run] what is wrong.
func (u unfitHandler) Check(sub leat.Subscription) error {
	return &leat.Error{Op: "run", Topic: sub.Topic, Code: leat.CodeInvalid, Err: u.err}
}

// Handle implements [leat.Handler].
func (u unfitHandler) Handle(_ context.Context, e leat.Event) error {
	return leat.Pause(storePause, &leat.Error{Op: "handle", EventID: e.ID(), Code: leat.CodeInvalid, Err: u.err})
}
