package leat

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// IsOutage reports whether err says that a broker that the [Handler] publishes to is down, which is no failure of the event. It does
// when it is, or wraps, the error of a publish of Leat's own with [CodeUnavailable], [CodeUnknown], [CodeExhausted] or [CodeClosed]. It
// does not when the publish, or one event of a [*PublishError], was refused with another code, nor when [Reject] or [Pause] decided. An
// event of it with [CodeCanceled] says nothing either way. A [Consumer] tries the event again later, as often as it takes, and counts no
// attempt; its health says so.
func IsOutage(err error) bool { return outageIn(err) != nil }

// outageIn returns the outcome of a publish that makes err an outage, or nil.
func outageIn(err error) error {
	if err == nil {
		return nil
	}
	var s outageSearch
	s.look(err)
	if s.other {
		return nil
	}
	return s.found
}

// outageSearch is what was seen of an error's tree.
type outageSearch struct {
	found error // the first outcome that says that a broker is down
	other bool  // something in the tree makes it a matter of the event, or of the handler
}

func (s *outageSearch) look(err error) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked
	case nil:
	case *verdict:
		s.other = s.other || e.kind != verdictRetry
		s.look(e.err)
	case *PublishError:
		for i := range e.Failures {
			s.judge(e.Failures[i].Err)
		}
	case *Error:
		if e.Op == "publish" {
			s.judge(e)
		} else {
			s.look(e.Err)
		}
	case interface{ Unwrap() error }:
		s.look(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			s.look(each)
		}
	}
}

// judge looks at the outcome of one event. One whose context ended says nothing either way: the handler may have been slow.
func (s *outageSearch) judge(err error) {
	switch CodeOf(err) {
	case CodeUnavailable, CodeUnknown, CodeExhausted, CodeClosed:
		if s.found == nil {
			s.found = err
		}
	case CodeCanceled:
	default:
		s.other = true
	}
}

// outageStage is the engine's state for outages of what handlers publish to.
type outageStage struct {
	waiting int   // items that wait for the end of one, or try whether it has come
	cause   error // of the last one
}

// outageOutcome returns what follows from an attempt that met an outage: the event waits in its lane. A pause of the whole Consumer would
// hold up the events whose handlers publish nothing, or elsewhere, and let one event whose publish never succeeds stop all others.
func (e *engine) outageOutcome(it *item, v *verdict, cause error) outcome {
	o := outcome{kind: outcomeOutage, outage: cause}
	if v != nil {
		o.delay = v.delay
	} else {
		o.delay = defaultBackoff.Delay(it.outages+1, rand.Float64)
	}
	o.delay = e.holdAtMost(o.delay)
	return o
}

// noteOutage keeps count of the items that wait for the end of an outage. The lock is held.
func (e *engine) noteOutage(it *item, o outcome) {
	if o.kind != outcomeOutage {
		e.outageOver(it)
		return
	}
	if it.outages++; it.outages > 1 {
		return
	}
	e.outage.cause = o.outage
	if e.outage.waiting++; e.outage.waiting == 1 {
		e.after = append(e.after, func() {
			e.c.o.Logger.Warn("a handler cannot publish; its event waits, and no attempt is counted",
				"topic", e.c.sub.Topic, "group", e.c.sub.Group, "error", o.outage)
		})
	}
}

// outageOver takes an item off the count. The lock is held.
func (e *engine) outageOver(it *item) {
	if it.outages > 0 {
		it.outages = 0
		e.outage.waiting--
	}
}

// describe returns what the health says of the events that wait, to be called without the lock: the cause is foreign code.
func (s *outageStage) describe() func() (Code, error) {
	waiting, cause := s.waiting, s.cause
	return func() (Code, error) {
		why := cause
		if own, ok := errors.AsType[*Error](cause); ok && own.Err != nil {
			why = own.Err
		}
		return CodeOf(cause), fmt.Errorf("%d events wait, because their handler cannot publish: %w", waiting, why)
	}
}
