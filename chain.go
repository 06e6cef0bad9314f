package leat

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leatgo/leat/internal/nils"
)

// Chain returns h wrapped in the middleware. The first is the outermost: it sees the event first and the outcome last. A nil among
// them is reported by [Run], as is what a [Router] or another h says that has a method Check.
func Chain(h Handler, middleware ...Middleware) Handler {
	wrapped, checks := chain(h, middleware)
	if len(checks) == 0 {
		return wrapped
	}
	return &checkedHandler{Handler: wrapped, checks: checks, routes: routesOf(h)}
}

// subscriptionChecker is implemented by a Handler, such as the Router, that can tell that it does not fit a subscription, by one that a
// middleware has made and that lacks something, and by a PoisonQueue.
type subscriptionChecker interface{ Check(sub Subscription) error }

// chain wraps h, and returns those that have to be asked before it is used.
func chain(h Handler, middleware []Middleware) (Handler, []subscriptionChecker) {
	if nils.Is(h) {
		h = unfitHandler{errors.New("the handler is nil")}
	}
	var checks []subscriptionChecker
	add := func(h Handler) {
		if c, ok := h.(subscriptionChecker); ok {
			checks = append(checks, c)
		}
	}
	add(h)
	for i, m := range slices.Backward(middleware) {
		var outer Handler = unfitHandler{fmt.Errorf("middleware %d is nil", i)}
		if m != nil {
			outer = m(h)
		}
		if nils.Is(outer) {
			outer = unfitHandler{fmt.Errorf("middleware %d returned a nil Handler", i)}
		}
		h = outer
		add(h)
	}
	return h, checks
}

// checkedHandler is a chain in which somebody has to be asked.
type checkedHandler struct {
	Handler

	checks []subscriptionChecker
	routes []Route // of the Router that is wrapped, if it is one
}

// Check implements subscriptionChecker.
func (c *checkedHandler) Check(sub Subscription) error { return firstRefusal(sub, c.checks) }

func firstRefusal(sub Subscription, checks []subscriptionChecker) error {
	for _, c := range checks {
		if err := c.Check(sub); err != nil {
			return err
		}
	}
	return nil
}

// unfitHandler stands where a Handler is missing.
type unfitHandler struct{ err error }

// Check implements subscriptionChecker.
func (u unfitHandler) Check(sub Subscription) error {
	return &Error{Op: "run", Topic: sub.Topic, Code: CodeInvalid, Err: u.err}
}

// Handle implements [Handler] for those who call it without [Run].
func (u unfitHandler) Handle(_ context.Context, e Event) error {
	return &Error{Op: "handle", EventID: e.ID(), Code: CodeInvalid, Err: u.err}
}
