// Package withdrawal has what adapters share that implement leat.Withdrawer.
package withdrawal

import (
	"context"
	"fmt"

	"github.com/leatgo/leat"
)

// Set is events to be withdrawn, by what identifies them (rule W4).
type Set map[name]struct{}

type name struct{ source, id string }

// Of returns the set of events.
func Of(events []leat.Event) Set {
	s := make(Set, len(events))
	for _, e := range events {
		s[name{e.Source(), e.ID()}] = struct{}{}
	}
	return s
}

// Has reports whether e is one of them.
func (s Set) Has(e leat.Event) bool {
	_, ok := s[name{e.Source(), e.ID()}]
	return ok
}

// Refusal returns the error of an event that was not sent when ctx ended (rule W1). Trouble is what is wrong with the connection; nil
// means nothing.
func Refusal(ctx context.Context, trouble error) *leat.Error {
	cause := context.Cause(ctx)
	if trouble == nil {
		return &leat.Error{Code: leat.CodeCanceled, Err: fmt.Errorf("not sent when the context ended: %w", cause)}
	}
	return &leat.Error{Code: leat.CodeUnavailable, Err: fmt.Errorf("not sent when the context ended: %w: %w", cause, trouble)}
}
