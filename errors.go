package leat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Code classifies an [Error], so that a program can decide without reading text. The zero value is
// no code.
type Code uint8

// The codes of an [Error]. A publish that failed with [CodeUnknown] may have stored the event; with
// every other code it certainly has not.
const (
	// CodeInvalid says that the caller's input breaks a rule: an event that is not a CloudEvent, a
	// bad name, a bad option. Trying again without a change cannot succeed.
	CodeInvalid Code = iota + 1
	// CodeTooLarge says that an event exceeds a limit of Leat or of the broker.
	CodeTooLarge
	// CodeNotFound says that a topic, a group or a queue does not exist.
	CodeNotFound
	// CodeUnsupported says that the broker, or the existing topology, cannot hold what was asked
	// for, such as order by key.
	CodeUnsupported
	// CodeConflict says that the object is in a state that excludes the call, such as a Consumer
	// that runs already.
	CodeConflict
	// CodeClosed says that the Producer, the Stream or the Broker was closed.
	CodeClosed
	// CodeCanceled says that the caller's context ended before the broker took the event, or before
	// the call could finish.
	CodeCanceled
	// CodeExhausted says that a bound was reached and room did not come in time: a full buffer, a
	// quota.
	CodeExhausted
	// CodeUnauthenticated says that the broker does not accept the credentials.
	CodeUnauthenticated
	// CodePermissionDenied says that the credentials do not allow the operation.
	CodePermissionDenied
	// CodeUnavailable says that the broker cannot be reached or refuses work for now.
	CodeUnavailable
	// CodeUnknown says that the outcome of a publish is unknown: the event may be stored, or may be
	// later.
	CodeUnknown
	// CodeLeaseLost says that the broker took a delivery away while it was handled; see
	// [ErrLeaseLost].
	CodeLeaseLost
	// CodeHandler says that a handler failed, panicked, left with runtime.Goexit, or did not return
	// in time.
	CodeHandler
	// CodePoisonQueue says that an event could not be put into the poison queue, so that it stays
	// unsettled.
	CodePoisonQueue
	// CodeStalled says that a Consumer cannot receive because its limits are used up by events that
	// do not finish.
	CodeStalled
	// CodeInternal says that Leat or an adapter broke its own rule.
	CodeInternal
)

var codeNames = [...]string{
	CodeInvalid: "invalid", CodeTooLarge: "too large", CodeNotFound: "not found", CodeUnsupported: "unsupported",
	CodeConflict: "conflict", CodeClosed: "closed", CodeCanceled: "canceled", CodeExhausted: "exhausted",
	CodeUnauthenticated: "unauthenticated", CodePermissionDenied: "permission denied", CodeUnavailable: "unavailable",
	CodeUnknown: "unknown outcome", CodeLeaseLost: "lease lost", CodeHandler: "handler", CodePoisonQueue: "poison queue",
	CodeStalled: "stalled", CodeInternal: "internal",
}

// String returns the code in words, such as "too large".
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return "code " + strconv.Itoa(int(c))
}

// Error is the error type of Leat and its adapters: what failed, where, and a [Code]. It holds no
// payload and no secret.
type Error struct {
	// Op is what failed, in the words of the API: "publish", "subscribe", "decode".
	Op string
	// Topic is the topic concerned, or empty.
	Topic string
	// EventID is the id of the event concerned, or empty. It is cut to 128 bytes and quoted where
	// it is printed.
	EventID string
	// Code classifies the failure.
	Code Code
	// Err is the cause, or nil.
	Err error
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrLeaseLost) true for every error with [CodeLeaseLost].
func (e *Error) Is(target error) bool { return target == ErrLeaseLost && e.Code == CodeLeaseLost }

// ErrLeaseLost is the cause ([context.Cause]) with which a handler's context ends when the broker
// took the event away: the event is, or will be, handled by somebody else, and what this handler
// returns no longer counts.
var ErrLeaseLost error = &Error{Op: "handle", Code: CodeLeaseLost}

// quote makes a name from outside safe to print: cut to 128 bytes, control characters escaped.
func quote(s string) string {
	const limit = 128
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "..."
	}
	return strconv.Quote(s)
}

// CodeOf returns the code of err: that of the outermost [Error] that it is or wraps, [CodeCanceled]
// for a bare context error, 0 for nil, and [CodeInternal] for anything else.
//
// An error of several outcomes answers with one code. That of a [*PublishError] is [CodeUnknown]
// where one of its events may be stored. Otherwise, and for what [errors.Join] or fmt.Errorf has
// joined, it is the first code after which trying again cannot help, else the first code of all.
// The order of the parts decides nothing else.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	if c, ok := codeIn(err); ok {
		return c
	}
	if e, ok := errors.AsType[*Error](err); ok { // by a method As
		return e.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return CodeCanceled
	}
	return CodeInternal
}

// codeIn looks for the code of the outermost errors of Leat in a tree.
func codeIn(err error) (code Code, found bool) {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *Error:
		return e.Code, true
	case *PublishError:
		return e.code()
	case interface{ Unwrap() error }:
		return codeIn(e.Unwrap())
	case interface{ Unwrap() []error }:
		return oneCode(e.Unwrap())
	}
	return 0, false
}

// oneCode returns the first code after which trying again cannot help, else the first code.
func oneCode(errs []error) (code Code, found bool) {
	for _, err := range errs {
		switch c, ok := codeIn(err); {
		case !ok:
		case !c.retryable():
			return c, true
		case !found:
			code, found = c, true
		}
	}
	return code, found
}

// Retryable reports whether trying the same call again may succeed: for [CodeExhausted],
// [CodeUnavailable], [CodeUnknown], [CodeCanceled] and [CodePoisonQueue]. After [CodeUnknown] a
// retry may store the event twice; publish the same events again, so that their ids tell.
//
// A [*PublishError] is retryable while one of its events is: publish those of [PublishError.Events]
// again until it is not any more, and what is left is refused for good. An error that [errors.Join]
// or fmt.Errorf has joined, such as that of [Run], is retryable when all of its parts are.
func Retryable(err error) bool {
	if err == nil {
		return false
	}
	if again, ok := retryableIn(err); ok {
		return again
	}
	return CodeOf(err).retryable()
}

func retryableIn(err error) (again, found bool) {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *Error:
		return e.Code.retryable(), true
	case *PublishError:
		for _, f := range e.Failures {
			if Retryable(f.Err) {
				return true, true
			}
		}
		return false, len(e.Failures) > 0
	case interface{ Unwrap() error }:
		return retryableIn(e.Unwrap())
	case interface{ Unwrap() []error }:
		again = true
		for _, part := range e.Unwrap() {
			if a, ok := retryableIn(part); ok {
				again, found = again && a, true
			}
		}
		return again, found
	}
	return false, false
}

// retryable reports whether trying again may help after c.
func (c Code) retryable() bool {
	switch c {
	case CodeExhausted, CodeUnavailable, CodeUnknown, CodeCanceled, CodePoisonQueue:
		return true
	}
	return false
}

// PublishError is what a synchronous publish returns when at least one event failed. The events
// that are not in it are stored. [CodeOf] and [Retryable] say what they make of several outcomes;
// Refused and Unknown tell them apart.
type PublishError struct {
	// Topic is where the events were published to.
	Topic string
	// Total is how many events the call had.
	Total int
	// Failures has one entry for each event that failed, in the order of the call.
	Failures []PublishFailure
}

// PublishFailure is one event of a [PublishError].
type PublishFailure struct {
	// Event is the event as it was sent: with its id, and with the producer's source where it had
	// none. Publishing it again does not make a new event of it.
	Event Event
	// Err tells why. [CodeOf] returns [CodeUnknown] when the event may be stored, any other code
	// when it certainly is not.
	Err error
}

// Error returns one line that counts the failures by refused and unknown and quotes the first.
func (e *PublishError) Error() string {
	if len(e.Failures) > 0 && e.Total == 1 {
		return e.Failures[0].Err.Error()
	}
	return "leat: " + e.within(said{})
}

// within returns the text without what s says.
func (e *PublishError) within(s said) string {
	if len(e.Failures) == 0 {
		return "publish: no failure"
	}
	if e.Total == 1 {
		return textWithin(e.Failures[0].Err, s)
	}
	head := "publish topic " + quote(e.Topic) + ": "
	if s.op == "publish" && s.topic == e.Topic {
		head = ""
	}
	unknown := len(e.Unknown())
	return fmt.Sprintf("%s%d of %d events failed (%d refused, %d with unknown outcome); the first: %s",
		head, len(e.Failures), e.Total, len(e.Failures)-unknown, unknown,
		textWithin(e.Failures[0].Err, said{op: "publish", topic: e.Topic}))
}

// Unwrap returns the error of each failed event.
func (e *PublishError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// Events returns the events that failed, in the order of the call, ready to be published again.
func (e *PublishError) Events() []Event {
	events := make([]Event, len(e.Failures))
	for i, f := range e.Failures {
		events[i] = f.Event
	}
	return events
}

// Refused returns the events that certainly are not stored, in the order of the call. [Retryable]
// of a [PublishFailure]'s Err says of each whether publishing it again may help.
func (e *PublishError) Refused() []Event { return e.events(false) }

// Unknown returns the events that may be stored, or may be later, in the order of the call.
func (e *PublishError) Unknown() []Event { return e.events(true) }

func (e *PublishError) events(unknown bool) (events []Event) {
	for _, f := range e.Failures {
		if (CodeOf(f.Err) == CodeUnknown) == unknown {
			events = append(events, f.Event)
		}
	}
	return events
}

// code is the code of all outcomes together.
func (e *PublishError) code() (code Code, found bool) {
	errs := e.Unwrap()
	for _, err := range errs {
		if CodeOf(err) == CodeUnknown {
			return CodeUnknown, true
		}
	}
	return oneCode(errs)
}
