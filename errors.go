package leat

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
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

// said is what the text of an [Error] has told already when it comes to its cause.
type said struct {
	op, topic, event string
	code             Code
}

// teller is an error of Leat that can leave out what the text around it says.
type teller interface {
	error
	within(s said) string
}

// Error returns the operation, the topic, the event, the code in words, and the cause, in one line.
// An [Error] inside, and several that [errors.Join] has joined, do not repeat what is said before
// them. Only the stack of a panic takes more lines, behind the first.
func (e *Error) Error() string { return "leat: " + e.within(said{}) }

// within returns the text without what s says.
func (e *Error) within(s said) string {
	var words []string
	about := s
	topic, event := e.Topic != "" && e.Topic != s.topic, e.EventID != "" && e.EventID != s.event
	switch {
	case e.Op == s.op && !topic:
	case e.Op == opEvent && (event || s.op != ""): // the word is there already
	case e.Op != "":
		words = append(words, e.Op)
	}
	about.op, about.code = e.Op, e.Code
	if topic {
		words = append(words, "topic "+quote(e.Topic))
		about.topic = e.Topic
	}
	if event {
		words = append(words, "event "+quote(e.EventID))
		about.event = e.EventID
	}
	var parts []string
	if len(words) > 0 {
		parts = append(parts, strings.Join(words, " "))
	}
	cause := ""
	if e.Err != nil {
		cause = textWithin(e.Err, about)
	}
	if e.Code != s.code {
		parts = append(parts, e.Code.String())
	}
	if cause != "" {
		parts = append(parts, cause)
	}
	return strings.Join(parts, ": ")
}

// opEvent is the Op of an error that concerns an event by itself.
const opEvent = "event"

// textWithin returns the text of err, in which no error of Leat repeats what s says.
func textWithin(err error, s said) string {
	if own, ok := err.(teller); ok { //nolint:errorlint // the outermost; those inside are looked for below
		return own.within(s)
	}
	text := err.Error()
	budget := maxCauses
	eachTeller(err, &budget, func(own teller) {
		if whole := own.Error(); strings.Contains(text, whole) {
			text = strings.Replace(text, whole, cmp.Or(own.within(s), s.code.String()), 1)
		}
	})
	return oneLine(text)
}

// eachTeller calls do for the outermost errors of Leat in the tree of err.
func eachTeller(err error, budget *int, do func(teller)) {
	if *budget--; *budget < 0 {
		return
	}
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
	case teller:
		do(e)
	case interface{ Unwrap() error }:
		eachTeller(e.Unwrap(), budget, do)
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			eachTeller(part, budget, do)
		}
	}
}

// stackMark is where the stack of a panic begins in the text of a crashError.
const stackMark = "\ngoroutine "

// oneLine makes one line of a text of several, such as that of [errors.Join], and keeps the stack
// of a panic behind it.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\n\r") {
		return text
	}
	text, stack, found := strings.Cut(text, stackMark)
	var lines []string
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	text = strings.Join(lines, "; ")
	if found {
		text += stackMark + stack
	}
	return text
}

// brief returns the text of an error that may be foreign code, in one line of at most limit bytes,
// without the stack of a panic. Of a longer one the middle is left out: what failed stands at the
// beginning, and why at the end. The lock is free.
func brief(err error, limit int) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = "an error whose text cannot be read, because it panics"
		}
	}()
	text, _, _ = strings.Cut(err.Error(), stackMark)
	return shorten(oneLine(text), limit)
}

// shorten leaves out the middle of a text that is longer than limit bytes.
func shorten(text string, limit int) string {
	const gap = " ... "
	if len(text) <= limit {
		return text
	}
	head := (limit - len(gap)) / 2
	tail := len(text) - (limit - len(gap) - head)
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + gap + text[tail:]
}
