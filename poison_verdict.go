package leat

import (
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat/internal/backoff"
)

// poisonTrouble is what an item of the poison stage remembers of its own failures.
type poisonTrouble struct {
	tries   int   // publishes of it that failed
	passed  int   // poisonStage.passed when the last one failed
	alone   int   // of them, those since whose forerunner the queue took others
	refusal error // why the queue refuses this event; nil while it does not
}

// failures is how often the poison queue did not take the item.
func (t *poisonTrouble) failures() int {
	if t == nil {
		return 0
	}
	return t.tries
}

// refused reports whether the poison queue refuses the item, and is not just down.
func (it *item) refused() bool { return it.trouble != nil && it.trouble.refusal != nil }

// aloneLimit is how often an event has to fail, while the queue takes others in between, until that counts as its own. Some brokers
// answer an event that they cannot take by closing the connection, and no code tells that from an outage.
const aloneLimit = 4

// refusalBackoff paces the tries of an event that the poison queue refuses: it heals when somebody mends the limit or the permission.
//
//nolint:gochecknoglobals // Go has no constants of a struct type
var refusalBackoff = backoff.Policy{Initial: time.Second, Max: time.Minute, Multiplier: 2, Jitter: 0.5}

// poisonCause returns the error that says why an event is not in the poison queue: the first whose code says more than that it is
// the poison queue that failed; nil where there is none.
func poisonCause(err error) *Error {
	for {
		cause, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			return nil
		case cause.Code != CodePoisonQueue:
			return cause
		}
		err = cause.Err
	}
}

// refusesOne reports whether err of the poison queue whose topic is given concerns the event alone and no time mends it. Other codes
// are those of a queue that is down, where any event fails: credentials, a closed Producer, a full buffer, an unknown outcome, a
// poison topic that does not exist. A missing permission fails any event too, but waiting does not mend it, and the events that wait
// must not use up the limits of the Consumer.
func refusesOne(err error, topic string) bool {
	cause := poisonCause(err)
	if cause == nil {
		return false
	}
	switch cause.Code {
	case CodeInvalid, CodeTooLarge, CodeUnsupported, CodePermissionDenied:
		return true
	case CodeNotFound:
		return cause.Topic != "" && cause.Topic != topic
	}
	return false
}

// concernsOne counts a failure of it and reports whether that is the item's own. refused is what refusesOne says. The lock is held.
func (e *engine) concernsOne(it *item, refused bool) bool {
	t := it.trouble
	if t == nil {
		t = &poisonTrouble{passed: e.poison.passed}
		it.trouble = t
	}
	t.tries++
	if e.poison.passed > t.passed {
		t.alone++
	}
	t.passed = e.poison.passed
	return refused || t.alone >= aloneLimit || it.refused()
}

// refuse notes that the poison queue refuses an item, for good if refused is set. It stays, and counts against the bound of such items. The
// lock is held.
func (e *engine) refuse(it *item, err error, refused bool) {
	if it.refused() {
		if refused {
			it.trouble.refusal = err
		}
		return
	}
	it.trouble.refusal = err
	e.poison.refused++
	if e.c.o.PassRefused {
		e.stepAside(it)
	}
	event, position := it.d.Event, it.d.Position
	e.after = append(e.after, func() {
		e.c.o.Logger.Error("poison queue refuses an event, which stays unsettled and is tried again",
			"topic", e.c.sub.Topic, "group", e.c.sub.Group, "type", cut(event.Type()), "id", cut(event.ID()),
			"position", cut(position.String()), "do", refusalAdvice(err), "error", err)
	})
}

// stepAside takes an item out of its lane, so that its successors pass it. The lock is held.
func (e *engine) stepAside(it *item) {
	l := it.lane
	if l == nil {
		return
	}
	l.remove(it)
	if l.first == nil {
		e.lanes.remove(l)
	} else if l.first.state == itemWaiting {
		e.makeReady(l.first)
	}
}

// refusedBound is how many items that the poison queue refuses the engine keeps while it goes on receiving: half of MaxInFlight.
func (e *engine) refusedBound() int { return (e.c.sub.MaxInFlight + 1) / 2 }

func (e *engine) tooManyRefused() bool { return e.poison.refused > e.refusedBound() }

// oldestRefused is the oldest item that the poison queue refuses, or nil. The lock is held.
func (e *engine) oldestRefused() *item {
	for it := e.all.oldest; it != nil; it = it.newer {
		if it.refused() {
			return it
		}
	}
	return nil
}

// describeRefused returns what the health says of what the poison queue refuses: why, and what to do. The lock is held, and free when the
// result is called, since the error is foreign code.
func (e *engine) describeRefused() func() (Code, error) {
	it := e.oldestRefused()
	what := "a malformed delivery"
	if it.d.Malformed == nil {
		what = fmt.Sprintf("an event of type %s with the id %s", quote(it.d.Event.Type()), quote(it.d.Event.ID()))
	}
	count, position, err := e.poison.refused, cut(it.d.Position.String()), it.trouble.refusal
	return func() (Code, error) {
		return CodePoisonQueue, fmt.Errorf(
			"the poison queue refuses %d rejected events, which stay unsettled; the oldest is %s at position %s; %s: %w",
			count, what, position, refusalAdvice(err), err)
	}
}

// refusalAdvice says what a person can do about an event that the poison queue refuses.
func refusalAdvice(err error) string {
	cause := poisonCause(err)
	if cause == nil {
		cause = &Error{}
	}
	topic := "the poison topic"
	if cause.Topic != "" {
		topic = "topic " + quote(cause.Topic)
	}
	do := "mend what the error says"
	switch cause.Code {
	case CodePermissionDenied:
		do = "allow the Producer of the poison queue to write to " + topic
	case CodeTooLarge:
		do = "raise the size that " + topic + " takes"
	case CodeNotFound:
		do = "create " + topic
	}
	return do + ", and it goes there within a minute"
}
