package leat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// PublishFunc publishes events to a topic and reports each outcome through done, by the rules of [Broker].Publish.
type PublishFunc func(ctx context.Context, topic string, events []Event, done func(i int, err error))

// PublishMiddleware wraps a [PublishFunc]. It sees the events after validation, with their source, and must see to it that done is
// called once for each. The events belong to the Producer again when it returns.
type PublishMiddleware func(next PublishFunc) PublishFunc

// ProducerOptions are the options of a [Producer]. The zero value works.
type ProducerOptions struct {
	// Source is given to events that have none. Without it, an event without a source is refused.
	Source string
	// Middleware wraps every publish; the first is the outermost.
	Middleware []PublishMiddleware
}

// Producer publishes events. It is safe for concurrent use, keeps no buffer of its own, and does not own the broker: close the
// Producer first, then the broker.
type Producer struct {
	source     string
	limits     Limits
	publish    PublishFunc
	invalid    error     // what is wrong with the arguments of NewProducer
	calls      sync.Pool // of *publishCall; per Producer, so that its channels stay in the test bubble that made them
	closed     atomic.Bool
	unanswered unanswered
}

// NewProducer returns a Producer on broker. A nil o means the defaults. Wrong arguments are reported by every publish.
func NewProducer(broker Broker, o *ProducerOptions) *Producer {
	if o == nil {
		o = &ProducerOptions{}
	}
	p := &Producer{source: o.Source, unanswered: unanswered{turn: make(chan struct{}, 1)}}
	switch {
	case broker == nil:
		p.invalid = errors.New("the broker of the Producer is nil")
		return p
	case slices.ContainsFunc(o.Middleware, func(m PublishMiddleware) bool { return m == nil }):
		p.invalid = errors.New("ProducerOptions.Middleware has a nil")
		return p
	}
	p.limits, p.publish = producerLimits(broker.Limits()), broker.Publish
	for _, m := range slices.Backward(o.Middleware) {
		p.publish = m(p.publish)
	}
	return p
}

// producerLimits narrows the broker's limits by Leat's own.
func producerLimits(l Limits) Limits {
	if l.MaxEventBytes == 0 || l.MaxEventBytes > maxEventBytes {
		l.MaxEventBytes = maxEventBytes
	}
	if l.MaxAttributes == 0 || l.MaxAttributes > maxAttributesDecoded {
		l.MaxAttributes = maxAttributesDecoded
	}
	return l
}

// Publish publishes events to topic and waits for the broker. Nil means that the broker has all of them, as durably as it can.
// Otherwise the error is a [*PublishError] with the events that failed; those that it does not name are stored. When ctx ends, what
// the broker has not answered is reported with [CodeUnknown]. Events with the same key keep their order.
func (p *Producer) Publish(ctx context.Context, topic string, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	c := p.newCall(topic, events)
	c.run(ctx)
	c.mu.Lock()
	if c.left > 0 {
		c.wake = make(chan struct{})
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-ctx.Done():
		}
		c.mu.Lock()
	}
	var err error
	if c.failed > 0 || c.left > 0 {
		err = c.publishError(ctx)
	}
	if c.left > 0 {
		c.abandoned = true // the last done puts c back
		c.mu.Unlock()
		return err
	}
	c.mu.Unlock()
	p.putCall(c)
	return err
}

// PublishAsync publishes events to topic and returns when the broker's client has accepted them, which blocks while its buffer is
// full. done, which may be nil, is called once for each event, possibly before PublishAsync returns and from any goroutine; it must
// not block. Its error is nil when the broker has the event, else an [*Error]: with [CodeUnknown] the event may be stored, with
// every other code it is not. ctx bounds the acceptance only.
func (p *Producer) PublishAsync(ctx context.Context, topic string, done func(e Event, err error), events ...Event) {
	if len(events) == 0 {
		return
	}
	if done == nil {
		done = func(Event, error) {}
	}
	c := p.newCall(topic, events)
	c.user = done
	c.left++ // for run, which still reads c while the answers come
	c.run(ctx)
	c.mu.Lock()
	c.release(1)
}

// Flush waits until the broker has answered every event that was published before the call, or until ctx ends; then the [*Error] has
// [CodeUnknown] and says how many answers are missing.
func (p *Producer) Flush(ctx context.Context) error { return p.unanswered.wait(ctx) }

// Close refuses further events and waits like [Producer.Flush]. Closing twice is no error. The broker stays open.
func (p *Producer) Close(ctx context.Context) error {
	p.closed.Store(true)
	return p.Flush(ctx)
}

// check returns why e must not be published to the broker, or nil.
func (p *Producer) check(topic string, e Event) error {
	refuse := func(code Code, err error) error {
		return &Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: err}
	}
	if err := e.Validate(); err != nil {
		return refuse(CodeOf(err), err)
	}
	// What the poison queue adds must fit into the event wherever the event itself fitted.
	size, attributes := p.limits.MaxEventBytes, p.limits.MaxAttributes
	if !e.d().poisoned {
		size, attributes = size-poisonReserveBytes, min(attributes, maxAttributes)
	}
	if e.Size() > size {
		return refuse(CodeTooLarge, fmt.Errorf("the event has %d bytes; at most %d are allowed", e.Size(), size))
	}
	if e.d().attributes > attributes {
		return refuse(CodeTooLarge, fmt.Errorf("the event has %d attributes; at most %d are allowed", e.d().attributes, attributes))
	}
	return nil
}

// publishCall is one call of Publish or PublishAsync on its way. It is used again when all of its events are done.
type publishCall struct {
	p      *Producer
	topic  string
	events []Event
	user   func(e Event, err error) // PublishAsync's callback, nil for Publish
	done   func(i int, err error)   // c.finish, made once
	phase  uint32                   // of unanswered, that its events count in

	mu        sync.Mutex
	errs      []error // the outcome of each event; errPending until it is known
	left      int     // outcomes that are not known, and one while PublishAsync itself still needs the call
	failed    int
	abandoned bool // Publish has gone; the last outcome puts the call back
	wake      chan struct{}
}

var errPending = errors.New("no answer of the broker")

func (p *Producer) newCall(topic string, events []Event) *publishCall {
	c, _ := p.calls.Get().(*publishCall)
	if c == nil {
		c = &publishCall{p: p}
		c.done = c.finish
	}
	c.topic = topic
	c.events = append(c.events[:0], events...)
	for range events {
		c.errs = append(c.errs, errPending)
	}
	c.left = len(events)
	return c
}

func (p *Producer) putCall(c *publishCall) {
	clear(c.events)
	clear(c.errs)
	c.events, c.errs = c.events[:0], c.errs[:0]
	c.user, c.wake, c.failed, c.abandoned = nil, nil, 0, false
	p.calls.Put(c)
}

// run checks the events and publishes those that are in order; the others are refused without reaching the broker.
func (c *publishCall) run(ctx context.Context) {
	p := c.p
	c.phase = p.unanswered.add(len(c.events))

	var callErr error // why no event can be published
	if err := checkName(c.topic); err != nil {
		callErr = &Error{Op: "publish", Code: CodeInvalid, Err: fmt.Errorf("topic %w", err)}
	} else if p.invalid != nil {
		callErr = &Error{Op: "publish", Topic: c.topic, Code: CodeInvalid, Err: p.invalid}
	} else if p.closed.Load() {
		callErr = &Error{Op: "publish", Topic: c.topic, Code: CodeClosed, Err: errors.New("the Producer is closed")}
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
			c.finish(i, err)
		case refused > 0:
			accepted = append(accepted, c.events[i])
			index = append(index, i)
		}
	}
	switch {
	case refused == 0:
		p.publish(ctx, c.topic, accepted, c.done)
	case len(accepted) > 0:
		p.publish(ctx, c.topic, accepted, func(i int, err error) { c.finish(index[i], err) })
	}
}

// finish takes the outcome of one event.
func (c *publishCall) finish(i int, err error) {
	if err != nil {
		err = publishOutcome(c.topic, c.events[i], err)
	}
	if c.user != nil {
		c.user(c.events[i], err)
	}
	c.p.unanswered.done(c.phase)
	c.mu.Lock()
	c.errs[i] = err
	if err != nil {
		c.failed++
	}
	c.release(1)
}

// release counts n of left down and unlocks. At 0, c goes to Publish where that waits, else back to the pool.
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

// publishError collects the failures; what has no outcome yet counts as unknown. The caller holds c.mu.
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

// publishOutcome makes an *Error of what an adapter or middleware reported. An error without a code proves nothing, so its
// outcome is unknown.
func publishOutcome(topic string, e Event, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: CodeUnknown, Err: err}
}
