package leat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat/internal/nils"
)

// Handler handles one event. The error is the outcome; there is no ack to forget:
//
//   - nil: the event is done.
//   - [Reject]: the event goes to the poison queue, without another attempt.
//   - [RetryAfter]: the event is tried again after a delay.
//   - [Postpone]: the same, for an event that has not failed; no attempt is counted.
//   - [Pause]: the whole consumer stops for a while; no attempt is counted.
//   - the error of a publish to a broker that is down ([IsOutage]): the event is tried again later; no attempt is counted.
//   - any other error: the event is tried again, after the Consumer's own backoff.
//
// A panic and runtime.Goexit count as errors. Handle may be called from several goroutines, but
// never for two events of one key at once. ctx carries an [Info] and ends when the lease is lost or
// the Consumer's ShutdownTimeout has passed; it stays alive during an orderly shutdown before that.
// Events are delivered at least once.
type Handler interface {
	Handle(ctx context.Context, e Event) error
}

// HandlerFunc is a function as a [Handler].
type HandlerFunc func(ctx context.Context, e Event) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, e Event) error { return f(ctx, e) }

// Middleware wraps a [Handler]. It runs once per attempt.
type Middleware func(next Handler) Handler

// Info is what a [Handler] can learn about the delivery that it handles.
type Info struct {
	// Topic and Group are those of the subscription. Group is empty for a broadcast.
	Topic, Group string
	// Key is the transport's key where the event has no partitionkey of its own, as [Delivery].Key.
	// Empty means none.
	Key string
	// Trace is the trace context that the transport carried beside the event, as [Delivery].Trace.
	// Nil means none.
	Trace *TraceContext
	// Attempt counts the calls of the handler for this event in this process, from 1.
	Attempt int
	// FirstAttempt is when the first of them began, put off by what a [Pause], a [Postpone] or an
	// outage ([IsOutage]) of the event took, which count as no attempt.
	FirstAttempt time.Time
	// Deliveries is how often the broker has delivered the event to this group, this time included;
	// 0 means unknown.
	Deliveries int
	// Received is when this delivery was received.
	Received time.Time
	// Position is where the broker keeps the event.
	Position Position
	// Replays says that the event comes from a poison queue: how often it was replayed, this time
	// included. 0 means that it does not.
	Replays int
	// Skipped says, to a [Middleware] when the handler has returned, that no route of a [Router]
	// wanted the event.
	Skipped bool
}

// InfoFrom returns the [Info] of the delivery that ctx belongs to; false where ctx does not come
// from a [Consumer].
func InfoFrom(ctx context.Context) (Info, bool) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a.info(), true
	}
	return Info{}, false
}

// ContextWithInfo returns a context that carries info, for tests of handlers and middleware, which
// then see it by [InfoFrom].
func ContextWithInfo(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, attemptKey{}, &attempt{rare: &attemptRare{fixed: &info}})
}

// verdict is the error type behind Reject, RetryAfter, Postpone and Pause.
type verdict struct {
	kind  verdictKind
	delay time.Duration
	err   error
	own   bool // by the engine itself, which may put an event off for no time
}

// inTurn puts an event off for as long as the one ahead of it takes.
func inTurn(err error) error { return &verdict{kind: verdictPostpone, err: err, own: true} }

type verdictKind uint8

const (
	verdictReject verdictKind = iota + 1
	verdictRetry
	verdictPostpone
	verdictPause
)

func (v *verdict) Error() string {
	cause := "no reason given"
	if v.err != nil {
		cause = v.err.Error()
	}
	switch v.kind {
	case verdictRetry:
		return fmt.Sprintf("retry after %v: %s", v.delay, cause)
	case verdictPostpone:
		return fmt.Sprintf("postpone for %v: %s", v.delay, cause)
	case verdictPause:
		return fmt.Sprintf("pause for %v: %s", v.delay, cause)
	default:
		return cause
	}
}

func (v *verdict) Unwrap() error { return v.err }

// Reject returns an error with which a [Handler] says that trying again cannot help: the event goes
// to the poison queue with err as the reason. The reason is stored there and read by people: put no
// secret into it.
func Reject(err error) error { return &verdict{kind: verdictReject, err: err} }

// RetryAfter returns an error with which a [Handler] asks to be called again for this event after d
// at the earliest. The delay is not capped by the Consumer's own backoff, but by the stream's
// [Capabilities.LongestHold]. Later events of the key wait.
func RetryAfter(d time.Duration, err error) error {
	return &verdict{kind: verdictRetry, delay: max(d, 0), err: err}
}

// Postpone returns an error with which a [Handler] or a [Middleware] puts an event off for d, which
// has not failed: its turn has not come, such as with a rate limit. No attempt is counted, so
// nothing is poisoned by it, however often it is returned. Later events of the key wait, and no
// handler is held meanwhile. The delay is 1 ms or more, and capped as that of [RetryAfter].
func Postpone(d time.Duration, err error) error {
	return &verdict{kind: verdictPostpone, delay: max(d, 0), err: err}
}

// Pause returns an error with which a [Handler] stops the whole Consumer for d, because what all of
// its events need is down, at least for 1 ms. No attempt is counted, for this event or any other.
func Pause(d time.Duration, err error) error {
	return &verdict{kind: verdictPause, delay: max(d, 0), err: err}
}

// IsRejected reports whether err is, or wraps, the outcome of [Reject].
func IsRejected(err error) bool { return isVerdict(err, verdictReject) }

// IsPostponed reports whether err is, or wraps, the outcome of [Postpone].
func IsPostponed(err error) bool { return isVerdict(err, verdictPostpone) }

// IsPaused reports whether err is, or wraps, the outcome of [Pause].
func IsPaused(err error) bool { return isVerdict(err, verdictPause) }

func isVerdict(err error, kind verdictKind) bool {
	v, ok := errors.AsType[*verdict](err)
	return ok && v.kind == kind
}

// IsDecided reports whether err is, or wraps, the outcome of [Reject], [RetryAfter], [Postpone] or
// [Pause], or is an outage ([IsOutage]), so that a middleware leaves the decision alone.
func IsDecided(err error) bool {
	_, ok := errors.AsType[*verdict](err)
	return ok || IsOutage(err)
}

// Chain returns h wrapped in the middleware. The first is the outermost: it sees the event first
// and the outcome last. A nil among them is reported by [Run], as is what a [Router] or another h
// says that has a method Check.
func Chain(h Handler, middleware ...Middleware) Handler {
	wrapped, checks := chain(h, middleware)
	if len(checks) == 0 {
		return wrapped
	}
	return &checkedHandler{Handler: wrapped, inner: h, checks: checks, routes: routesOf(h)}
}

// subscriptionChecker is implemented by a Handler, such as the Router, that can tell that it does
// not fit a subscription, by one that a middleware has made and that lacks something, and by a
// PoisonQueue.
type subscriptionChecker interface{ Check(sub Subscription) error }

// chain wraps h, and returns those that have to be asked before it is used.
func chain(h Handler, middleware []Middleware) (Handler, []subscriptionChecker) {
	if nils.Is(h) {
		h = unfitHandler{errors.New("the handler is nil; give one to Chain")}
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

	inner  Handler // what is wrapped
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
