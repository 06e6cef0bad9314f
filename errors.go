package leat

import (
	"strconv"
	"strings"
)

// Code classifies an [Error], so that a program can decide without reading text. The zero value is no code.
type Code uint8

// The codes of an [Error]. A publish that failed with [CodeUnknown] may have stored the event; with every other code it
// certainly has not.
const (
	// CodeInvalid says that the caller's input breaks a rule: an event that is no CloudEvent, a bad name, a bad option.
	// Trying again without a change cannot succeed.
	CodeInvalid Code = iota + 1
	// CodeTooLarge says that an event exceeds a limit of Leat or of the broker.
	CodeTooLarge
	// CodeNotFound says that a topic, a group or a queue does not exist.
	CodeNotFound
	// CodeUnsupported says that the broker, or the existing topology, cannot hold what was asked for, such as order by key.
	CodeUnsupported
	// CodeConflict says that the object is in a state that excludes the call, such as a Consumer that runs already.
	CodeConflict
	// CodeClosed says that the Producer, the Stream or the Broker was closed.
	CodeClosed
	// CodeCanceled says that the caller's context ended before the broker took the event, or before the call could finish.
	CodeCanceled
	// CodeExhausted says that a bound was reached and room did not come in time: a full buffer, a quota.
	CodeExhausted
	// CodeUnauthenticated says that the broker does not accept the credentials.
	CodeUnauthenticated
	// CodePermissionDenied says that the credentials do not allow the operation.
	CodePermissionDenied
	// CodeUnavailable says that the broker cannot be reached or refuses work for now.
	CodeUnavailable
	// CodeUnknown says that the outcome of a publish is unknown: the event may be stored, or may be later.
	CodeUnknown
	// CodeLeaseLost says that the broker took a delivery away while it was handled; see [ErrLeaseLost].
	CodeLeaseLost
	// CodeHandler says that a handler failed, panicked, left with runtime.Goexit, or did not return in time.
	CodeHandler
	// CodePoisonQueue says that an event could not be put into the poison queue, so that it stays unsettled.
	CodePoisonQueue
	// CodeStalled says that a Consumer cannot receive because its limits are used up by events that do not finish.
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

// Error is the error type of Leat and its adapters: what failed, where, and a [Code]. It holds no payload and no secret.
type Error struct {
	// Op is what failed, in the words of the API: "publish", "subscribe", "decode".
	Op string
	// Topic is the topic concerned, or empty.
	Topic string
	// EventID is the id of the event concerned, or empty. It is cut to 128 bytes and quoted where it is printed.
	EventID string
	// Code classifies the failure.
	Code Code
	// Err is the cause, or nil.
	Err error
}

// Error returns one line: the operation, the topic, the event, the code in words, and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("leat: ")
	b.WriteString(e.Op)
	if e.Topic != "" {
		b.WriteString(" topic ")
		b.WriteString(quote(e.Topic))
	}
	if e.EventID != "" {
		b.WriteString(" event ")
		b.WriteString(quote(e.EventID))
	}
	b.WriteString(": ")
	b.WriteString(e.Code.String())
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrLeaseLost) true for every error with [CodeLeaseLost].
func (e *Error) Is(target error) bool { return target == ErrLeaseLost && e.Code == CodeLeaseLost }

// ErrLeaseLost is the cause ([context.Cause]) with which a handler's context ends when the broker took the event away: the
// event is, or will be, handled by somebody else, and what this handler returns no longer counts.
var ErrLeaseLost error = &Error{Op: "handle", Code: CodeLeaseLost}

// quote makes a name from outside safe to print: cut to 128 bytes, control characters escaped.
func quote(s string) string {
	const limit = 128
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "..."
	}
	return strconv.Quote(s)
}
