package leat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// publishCall is one call of Publish or PublishAsync on its way. It is used again when all of its
// events are done.
//
// Every use gives away a function of its own, so that a second answer from an adapter that breaks
// rule P1 does not count for the use that follows. A function comes around again after mostTurns
// uses, since a new one for each would cost an allocation. So the first answer too many ends the
// reuse of calls in this Producer, and where there is middleware, which nobody has tested like an
// adapter, there is none from the start: what is never used again cannot be mistaken.
type publishCall struct {
	p      *Producer
	topic  string
	events []Event
	user   func(e Event, err error) // PublishAsync's callback, nil for Publish
	phase  uint32                   // of unanswered, that its events count in
	began  time.Time                // zero where nobody observes
	turns  []*publishTurn
	uses   int

	mu        sync.Mutex
	turn      *publishTurn // the current use; nil while there is none
	errs      []error      // the outcome of each event; errPending until it is known
	left      int          // outcomes that are not known, and one while PublishAsync itself still needs the call
	failed    int
	abandoned bool // Publish has gone; the last outcome puts the call back
	wake      chan struct{}

	room publishRoom
}

// publishRoom is where a call with one event keeps what is else allocated, since most calls have
// one, and where there is middleware each call is a new one.
type publishRoom struct {
	events [1]Event
	errs   [1]error
	turns  [1]*publishTurn
	turn   publishTurn
}

// publishTurn is one use of a publishCall.
type publishTurn struct {
	c    *publishCall
	done func(i int, err error) // finish, made once
}

// mostTurns is how many uses of a call can be told apart. Each costs 32 bytes, once.
const mostTurns = 128

var errPending = errors.New("no answer of the broker")

func (p *Producer) newCall(topic string, events []Event) *publishCall {
	var c *publishCall
	if !p.unpooled.Load() {
		c, _ = p.calls.Get().(*publishCall)
	}
	if c == nil {
		c = &publishCall{p: p}
		c.events, c.errs, c.turns = c.room.events[:0], c.room.errs[:0], c.room.turns[:0]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topic = topic
	c.events = append(c.events[:0], events...)
	for range events {
		c.errs = append(c.errs, errPending)
	}
	c.left = len(events)
	c.turn = c.nextTurn()
	if p.observer != nil {
		c.began = time.Now()
	}
	return c
}

func (c *publishCall) nextTurn() *publishTurn {
	n := c.uses % mostTurns
	c.uses++
	if n == len(c.turns) {
		t := &c.room.turn
		if n > 0 {
			t = new(publishTurn)
		}
		t.c = c
		t.done = t.finish
		c.turns = append(c.turns, t)
	}
	return c.turns[n]
}

func (p *Producer) putCall(c *publishCall) {
	c.mu.Lock()
	clear(c.events)
	clear(c.errs)
	c.events, c.errs, c.turn = c.events[:0], c.errs[:0], nil
	c.user, c.wake, c.failed, c.abandoned = nil, nil, 0, false
	c.mu.Unlock()
	if !p.unpooled.Load() {
		p.calls.Put(c)
	}
}

// run checks the events and publishes those that are in order; the others are refused without
// reaching the broker.
func (c *publishCall) run(ctx context.Context) {
	p, t := c.p, c.turn
	c.phase = p.unanswered.Add(len(c.events))
	p.begun.Add(int64(len(c.events)))

	callErr := p.refusal(c.topic)
	if callErr == nil && p.topics != nil {
		callErr = p.topics.await(ctx, c.topic)
	}
	accepted, refused := c.events, 0
	var index []int // accepted[i] is c.events[index[i]], once an event was refused
	for i := range c.events {
		if p.source != "" && !c.events[i].IsZero() && c.events[i].Source() == "" {
			c.events[i] = c.events[i].WithSource(p.source)
		}
		err := callErr
		if err == nil {
			err = p.check(c.topic, c.events[i])
		}
		switch {
		case err != nil:
			if refused == 0 {
				accepted = append([]Event(nil), c.events[:i]...)
				for j := range i {
					index = append(index, j)
				}
			}
			refused++
			t.finish(i, err)
		case refused > 0:
			accepted = append(accepted, c.events[i])
			index = append(index, i)
		}
	}
	switch {
	case refused == 0:
		p.publish(ctx, c.topic, accepted, t.done)
	case len(accepted) > 0:
		p.publish(ctx, c.topic, accepted, func(i int, err error) {
			if i < 0 || i >= len(index) {
				t.finish(-1, err)
				return
			}
			t.finish(index[i], err)
		})
	}
}

// refusal returns why nothing can be published to topic, or nil.
func (p *Producer) refusal(topic string) error {
	if err := CheckTopic(topic); err != nil {
		return &Error{Op: "publish", Code: CodeInvalid, Err: fmt.Errorf("topic %w", err)}
	}
	if p.invalid != nil {
		return &Error{Op: "publish", Topic: topic, Code: CodeInvalid, Err: p.invalid}
	}
	if p.closed.Load() {
		return &Error{Op: "publish", Topic: topic, Code: CodeClosed, Err: errors.New("the Producer is closed; close it behind the last publish")}
	}
	return nil
}

// finish takes the outcome of one event. The first counts; one that is of an earlier use, or of no
// event, counts for nothing.
func (t *publishTurn) finish(i int, err error) {
	c, coded := t.c, false
	if err != nil {
		coded, err = lookInto(err) // foreign code
	}
	c.mu.Lock()
	if c.turn != t || i < 0 || i >= len(c.errs) || c.errs[i] != errPending { //nolint:errorlint // a mark, never wrapped there
		c.mu.Unlock()
		c.p.unpooled.Store(true)
		return
	}
	e := c.events[i]
	if err != nil {
		if !coded { // it proves nothing
			err = &Error{Op: "publish", Topic: c.topic, EventID: e.ID(), Code: CodeUnknown, Err: err}
		}
		c.failed++
		c.p.countFailure(err)
	}
	c.errs[i] = err
	if c.user != nil || c.p.observer != nil || err != nil || c.p.failing.Any() {
		user, topic, began := c.user, c.topic, c.began
		told := c.abandoned && err != nil
		c.mu.Unlock()
		if !told {
			c.p.noteOutcome(topic, err)
		}
		if c.p.observer != nil {
			c.p.observer.Observe(Observation{Kind: ObservedPublish, Topic: topic, Event: e, Err: err, Took: time.Since(began)})
		}
		if user != nil {
			user(e, err)
		}
		c.mu.Lock()
	}
	c.p.unanswered.Done(c.phase)
	c.release(1)
}

// release counts n of left down and unlocks. At 0, c goes to Publish where that waits, else back to
// the pool.
func (c *publishCall) release(n int) {
	c.left -= n
	last, wake := c.left == 0, c.wake
	recycle := last && (c.user != nil || c.abandoned)
	c.mu.Unlock()
	switch {
	case recycle:
		c.p.putCall(c)
	case last && wake != nil:
		close(wake)
	}
}

// withdraw asks the broker to refuse what c waits for and nothing was sent of. The Publish whose
// ctx has ended calls it.
func (c *publishCall) withdraw(ctx context.Context) {
	if c.p.withdrawer == nil {
		return
	}
	c.mu.Lock()
	open := make([]Event, 0, c.left)
	for i, err := range c.errs {
		if err == errPending { //nolint:errorlint // a mark, never wrapped there
			open = append(open, c.events[i])
		}
	}
	c.mu.Unlock()
	c.p.withdrawer.Withdraw(ctx, c.topic, open)
}

// publishError collects the failures; what has no outcome yet counts as unknown. The caller holds
// c.mu.
func (c *publishCall) publishError(ctx context.Context) error {
	e := &PublishError{Topic: c.topic, Total: len(c.events)}
	for i, err := range c.errs {
		if err == errPending { //nolint:errorlint // it marks an empty place in errs and is never wrapped there
			err = &Error{Op: "publish", Topic: c.topic, EventID: c.events[i].ID(), Code: CodeUnknown,
				Err: fmt.Errorf("%w yet: %w", errPending, context.Cause(ctx))}
		}
		if err != nil {
			e.Failures = append(e.Failures, PublishFailure{Event: c.events[i], Err: err})
		}
	}
	return e
}

// lookInto reports whether what an adapter or middleware reported is an *Error. An error that
// panics when it is looked into, such as a nil pointer in an interface, is replaced.
func lookInto(err error) (coded bool, seen error) {
	defer func() {
		if v := recover(); v != nil {
			coded, seen = false, panicked("the error of a publish", v)
		}
	}()
	_, coded = errors.AsType[*Error](err)
	return coded, err
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
