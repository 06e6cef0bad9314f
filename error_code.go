package leat

import (
	"context"
	"errors"
)

// CodeOf returns the code of err: that of the outermost [Error] that it is or wraps, [CodeCanceled] for a bare context error, 0 for
// nil, and [CodeInternal] for anything else.
//
// An error of several outcomes answers with one code. That of a [*PublishError] is [CodeUnknown] where one of its events may be stored.
// Otherwise, and for what [errors.Join] or fmt.Errorf has joined, it is the first code after which trying again cannot help, else the
// first code of all. The order of the parts decides nothing else.
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

// Retryable reports whether trying the same call again may succeed: for [CodeExhausted], [CodeUnavailable], [CodeUnknown],
// [CodeCanceled] and [CodePoisonQueue]. After [CodeUnknown] a retry may store the event twice; publish the same events again, so
// that their ids tell.
//
// A [*PublishError] is retryable while one of its events is: publish those of [PublishError.Events] again until it is not any more, and
// what is left is refused for good. An error that [errors.Join] or fmt.Errorf has joined, such as that of [Run], is retryable
// when all of its parts are.
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
