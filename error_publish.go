package leat

import "fmt"

// PublishError is what a synchronous publish returns when at least one event failed. The events that are not in it are stored. [CodeOf]
// and [Retryable] say what they make of several outcomes; Refused and Unknown tell them apart.
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
	// Event is the event as it was sent: with its id, and with the producer's source where it had none. Publishing it again
	// does not make a new event of it.
	Event Event
	// Err tells why. [CodeOf] returns [CodeUnknown] when the event may be stored, any other code when it certainly is not.
	Err error
}

// Error returns one line that counts the failures by refused and unknown and quotes the first.
func (e *PublishError) Error() string {
	if len(e.Failures) == 0 {
		return "leat: publish: no failure"
	}
	if e.Total == 1 {
		return e.Failures[0].Err.Error()
	}
	unknown := len(e.Unknown())
	return fmt.Sprintf("leat: publish topic %s: %d of %d events failed (%d refused, %d with unknown outcome); the first: %v",
		quote(e.Topic), len(e.Failures), e.Total, len(e.Failures)-unknown, unknown, e.Failures[0].Err)
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

// Refused returns the events that certainly are not stored, in the order of the call. [Retryable] of a [PublishFailure]'s Err says of
// each whether publishing it again may help.
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
