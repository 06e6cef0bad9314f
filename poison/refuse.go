package poison

import (
	"errors"
	"fmt"

	"github.com/leatgo/leat"
)

// refuse ends the run when the queue refuses an event that should go back into it, and no time
// mends that. The event stays unsettled, so it keeps its place.
func (r *run) refuse(e leat.Event, err error) {
	cause := refusal(err, r.queue.Topic)
	if cause == nil {
		return // the Consumer tries again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = &leat.Error{Op: "replay", Topic: r.queue.Topic, EventID: e.ID(), Code: cause.Code, Err: fmt.Errorf(
			"the event failed again, and the queue refuses to take it back, so it stays where it was; mend that and replay again: %w", err)}
		r.stop(r.failure)
	}
}

// refusal returns the error of a queue that refuses an event for good, by the codes of
// [leat.PoisonQueue]; nil where another try may help.
func refusal(err error, topic string) *leat.Error {
	cause, ok := errors.AsType[*leat.Error](err)
	for ok && cause.Code == leat.CodePoisonQueue {
		cause, ok = errors.AsType[*leat.Error](cause.Err)
	}
	if !ok {
		return nil
	}
	switch cause.Code {
	case leat.CodeInvalid, leat.CodeTooLarge, leat.CodeUnsupported, leat.CodePermissionDenied:
		return cause
	case leat.CodeNotFound:
		if cause.Topic != "" && cause.Topic != topic {
			return cause
		}
	}
	return nil
}
