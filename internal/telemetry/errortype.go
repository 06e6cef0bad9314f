package telemetry

import (
	"errors"
	"reflect"
	"strings"

	"github.com/leatgo/leat"
)

// The outcomes that are no code of Leat's and no Go type.
const (
	Paused    = "paused"
	Postponed = "postponed"
	Panicked  = "panic" // or the end of the goroutine
)

// OutcomeOf is the value of [ErrorType]: empty for a success, else what a handler decided, the code
// of one of Leat's errors, or the Go type of another error. It is never a text of an error.
func OutcomeOf(err error) (outcome string) {
	if err == nil {
		return ""
	}
	defer func() {
		if recover() != nil { // the error is foreign code
			outcome = Panicked
		}
	}()
	switch {
	case leat.IsPaused(err):
		return Paused
	case leat.IsPostponed(err):
		return Postponed
	}
	if e, ok := errors.AsType[*leat.Error](err); ok {
		return e.Code.String()
	}
	return typeName(err)
}

// IsNoFailure reports whether an outcome says that the event has not failed.
func IsNoFailure(outcome string) bool {
	return outcome == "" || outcome == Postponed || outcome == Paused
}

// typeName returns the Go type of the first error of a chain that is not just a text or a wrapper
// of one: "*net.OpError" of fmt.Errorf("dial: %w", err). Where there is none it is "error".
func typeName(err error) string {
	for err != nil {
		t := reflect.TypeOf(err)
		if !isPlain(t) {
			return Bounded(t.String())
		}
		switch u := err.(type) { //nolint:errorlint // it walks the chain
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			all := u.Unwrap()
			if len(all) == 0 {
				return "error"
			}
			err = all[0]
		default:
			return "error"
		}
	}
	return "error"
}

// isPlain reports whether a type of errors says nothing: those of the packages errors and fmt, and
// Leat's own wrappers.
func isPlain(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch p := t.PkgPath(); p {
	case "errors", "fmt", "internal/errors":
		return true
	default:
		return strings.HasPrefix(p, "github.com/leatgo/leat") && !strings.Contains(p, "_test")
	}
}
