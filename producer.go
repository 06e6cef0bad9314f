package leat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/internal/failing"
	"github.com/leatgo/leat/internal/inflight"
	"github.com/leatgo/leat/internal/nils"
)

// PublishFunc publishes events to a topic and reports each outcome through done, by the rules of
// [Broker].Publish.
type PublishFunc func(ctx context.Context, topic string, events []Event, done func(i int, err error))

// Publisher publishes events to a topic: a [Producer], or what keeps events for one, such as an
// outbox in a transaction.
//
// Publish returns nil when all events are taken: stored by the broker, or where the Publisher keeps
// them. Otherwise the error is a [*PublishError] that names the events that failed, with the code
// of each; the others are taken. An event is checked with [Event.Validate], because
// [EventType.Publish] passes on what could not be made, as an event that Validate refuses. Without
// events it returns nil.
type Publisher interface {
	Publish(ctx context.Context, topic string, events ...Event) error
}

// PublishMiddleware wraps a [PublishFunc]. It sees the events after validation, with their source,
// and must see to it that done is called once for each. The events belong to the Producer again
// when it returns.
type PublishMiddleware func(next PublishFunc) PublishFunc

// ProducerOptions are the options of a [Producer]. The zero value works.
type ProducerOptions struct {
	// Source is given to events that have none. Without it, an event without a source is refused.
	Source string
	// Topics are declared by the first publish, as [Declare] does of a topic alone, so that
	// services can be deployed in any order. All publishes wait for one attempt of at most 30 s,
	// each as long as its ctx lasts. Where the attempt fails they are refused with its error. The
	// next publish waits for the next attempt, which begins up to 5 s after one that failed. Other
	// topics may be published to as well; they have to exist, where the broker wants that.
	Topics []string
	// Middleware wraps every publish; the first is the outermost.
	Middleware []PublishMiddleware
	// Observer sees the outcome of each event, also of those that are refused before they reach the
	// Middleware. Nil means nobody does, and costs nothing.
	Observer Observer
	// Logger gets a line when publishes to a topic begin to fail, see [Producer.Health], and one
	// when they succeed again; at most ten of each in a minute. Never a payload. Nil means no log.
	Logger *slog.Logger
}

// Producer publishes events. It is safe for concurrent use, keeps no buffer of its own, and does
// not own the broker: close the Producer first, then the broker.
type Producer struct {
	source     string
	limits     Limits
	observer   Observer // nil for most
	publish    PublishFunc
	withdrawer Withdrawer  // nil where the broker is none
	invalid    error       // what is wrong with the arguments of NewProducer
	calls      sync.Pool   // of *publishCall; per Producer, so that its channels stay in the test bubble that made them
	unpooled   atomic.Bool // no publishCall is used twice; see publishCall
	closed     atomic.Bool
	broker     Broker
	failing    failing.Names // topics
	journal    journal
	unanswered *inflight.Counter // events that the broker was given and has not answered
	begun      atomic.Int64      // events that were given to Publish or PublishAsync; see ProducerStats
	refused    atomic.Int64
	unknown    atomic.Int64
	stored     atomic.Int64      // the highest that Stats has told
	topics     *topicDeclaration // nil for most
}

// NewProducer returns a Producer on broker. A nil o means the defaults. Wrong arguments are
// reported by every publish.
func NewProducer(broker Broker, o *ProducerOptions) *Producer {
	if o == nil {
		o = &ProducerOptions{}
	}
	p := &Producer{source: o.Source, unanswered: inflight.New()}
	switch {
	case nils.Is(broker):
		p.invalid = errors.New("the broker of the Producer is nil; look at the error of opening it")
		return p
	case slices.ContainsFunc(o.Middleware, func(m PublishMiddleware) bool { return m == nil }):
		p.invalid = errors.New("ProducerOptions.Middleware has a nil; leave it out")
		return p
	case o.Observer != nil && nils.Is(o.Observer):
		p.invalid = errors.New("ProducerOptions.Observer is a nil in an interface; leave it out, or give one")
		return p
	}
	if p.topics, p.invalid = declarationOf(broker, o.Topics); p.invalid != nil {
		return p
	}
	p.broker, p.observer, p.journal.Logger = broker, o.Observer, o.Logger
	p.limits, p.publish = producerLimits(broker.Limits()), broker.Publish
	p.withdrawer, _ = broker.(Withdrawer)
	p.unpooled.Store(len(o.Middleware) > 0)
	for i, m := range slices.Backward(o.Middleware) {
		if p.publish = m(p.publish); p.publish == nil {
			p.invalid, p.limits = fmt.Errorf("ProducerOptions.Middleware[%d] returned nil", i), Limits{}
			return p
		}
	}
	return p
}

// fit returns p, or one in its place that refuses everything, where p is nil or was not made by
// [NewProducer].
func (p *Producer) fit() *Producer {
	if p != nil && (p.publish != nil || p.invalid != nil) {
		return p
	}
	return unfitProducer("the Producer is nil; make one with NewProducer")
}

// unfitProducer returns a Producer that refuses everything, with text.
func unfitProducer(text string) *Producer {
	p := NewProducer(nil, nil)
	p.invalid = errors.New(text)
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

// Limits returns what an event may have at most where the broker of p takes it: the broker's
// limits, or Leat's own where these are lower. Events that are not from a poison queue have 8 KiB
// and 16 attributes less, or, of smaller limits, an eighth and a fifth. They are zero where the
// arguments of [NewProducer] were wrong.
func (p *Producer) Limits() Limits { return p.fit().limits }

// Publish publishes events to topic and waits for the broker. Nil means that the broker has all of
// them, as durably as it can. Otherwise the error is a [*PublishError] with the events that failed;
// those that it does not name are stored. When ctx ends, what was sent and not answered is reported
// with [CodeUnknown]; what was never sent is refused, with [CodeUnavailable] where the broker
// cannot be reached and [CodeCanceled] elsewhere, on a broker that is a [Withdrawer]. Events with
// the same key keep their order.
func (p *Producer) Publish(ctx context.Context, topic string, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	p = p.fit()
	c := p.newCall(topic, events)
	c.run(ctx)
	c.mu.Lock()
	if c.left > 0 {
		c.wake = make(chan struct{})
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-ctx.Done():
			c.withdraw(ctx)
		}
		c.mu.Lock()
	}
	var err error
	if c.failed > 0 || c.left > 0 {
		err = c.publishError(ctx)
	}
	if left := c.left; left > 0 {
		c.abandoned = true // the last done puts c back
		c.mu.Unlock()
		p.noteUnanswered(ctx, topic, left)
		return err
	}
	c.mu.Unlock()
	p.putCall(c)
	return err
}

// PublishAsync publishes events to topic and returns when the broker's client has accepted them,
// which blocks while its buffer is full. done, which may be nil, is called once for each event,
// possibly before PublishAsync returns and from any goroutine; it must not block. Its error is nil
// when the broker has the event, else an [*Error]: with [CodeUnknown] the event may be stored, with
// every other code it is not. ctx bounds the acceptance only.
func (p *Producer) PublishAsync(ctx context.Context, topic string, done func(e Event, err error), events ...Event) {
	if len(events) == 0 {
		return
	}
	if done == nil {
		done = func(Event, error) {}
	}
	c := p.fit().newCall(topic, events)
	c.user = done
	c.left++ // for run, which still reads c while the answers come
	c.run(ctx)
	c.mu.Lock()
	c.release(1)
}

// Flush waits until the broker has answered every event that was published before the call, or
// until ctx ends; then the [*Error] has [CodeUnknown] and says how many answers are missing.
func (p *Producer) Flush(ctx context.Context) error {
	p = p.fit()
	if p.unanswered.Wait(ctx) {
		return nil
	}
	return &Error{Op: "flush", Code: CodeUnknown, Err: fmt.Errorf("%d events without an answer of the broker: %w",
		p.unanswered.Left(), context.Cause(ctx))}
}

// Close refuses further events and waits like [Producer.Flush]. Closing twice is no error. The
// broker stays open.
func (p *Producer) Close(ctx context.Context) error {
	p = p.fit()
	p.closed.Store(true)
	err := p.Flush(ctx)
	if p.topics != nil {
		p.topics.close()
	}
	p.journal.Flush()
	return err
}

// noteOutcome notes what the outcome of an event says about publishes to topic. What is wrong with
// the event, and a caller that gave up, say nothing. No lock is held.
func (p *Producer) noteOutcome(topic string, err error) {
	if err == nil {
		if !p.failing.Any() {
			return
		}
		if f, failed := p.failing.Works(topic); failed {
			p.journal.note(linePublishing, "", func() []any {
				return []any{topic, f.Refused, f.Unknown, time.Since(f.Since).Round(time.Millisecond).String()}
			})
		}
		return
	}
	switch CodeOf(err) {
	case CodeInvalid, CodeTooLarge, CodeUnsupported, CodeCanceled:
	case CodeClosed:
		if !p.closed.Load() { // it is the broker
			p.noteFailure(topic, 1, 0, err)
		}
	case CodeUnknown:
		p.noteFailure(topic, 0, 1, err)
	default:
		p.noteFailure(topic, 1, 0, err)
	}
}

// noteUnanswered notes that the broker had not answered n events when the time of their publish was
// over. A caller that gave up before says nothing. No lock is held.
func (p *Producer) noteUnanswered(ctx context.Context, topic string, n int) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.noteFailure(topic, 0, n, &Error{Op: "publish", Topic: topic, Code: CodeUnknown,
			Err: fmt.Errorf("%w in the time of the publish", errPending)})
	}
}

func (p *Producer) noteFailure(topic string, refused, unknown int, err error) {
	if p.failing.Fail(topic, refused, unknown, err) {
		p.journal.note(linePublishesFail, "", func() []any { return []any{topic, err} })
	}
}

// reserve is what an ordinary publish leaves free below a limit, so that what the poison queue adds
// fits wherever the event itself fitted. Of a small limit that is a part, beyond which the poison
// queue reduces the event.
func reserve(limit, most, part int) int { return min(most, limit/part) }

// check returns why e must not be published to the broker, or nil.
func (p *Producer) check(topic string, e Event) error {
	refuse := func(code Code, err error) error {
		return &Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: err}
	}
	if err := e.Validate(); err != nil {
		if !e.IsZero() && e.d().err == nil { // then it lacks a source
			err = fmt.Errorf("%w; set ProducerOptions.Source, which its events get, or EventOptions.Source", err)
		}
		return refuse(CodeOf(err), err)
	}
	size, attributes := p.limits.MaxEventBytes, p.limits.MaxAttributes
	if !IsPoisoned(e) {
		size, attributes = size-reserve(size, poisonReserveBytes, 8), attributes-reserve(attributes, poisonReserveAttributes, 5)
	}
	if e.Size() > size {
		return refuse(CodeTooLarge, fmt.Errorf("the event has %d bytes; at most %d are allowed; publish a reference to "+
			"large data, or raise the limit of the broker's adapter", e.Size(), size))
	}
	if e.d().attributes > attributes {
		return refuse(CodeTooLarge, fmt.Errorf("the event has %d attributes; at most %d are allowed", e.d().attributes, attributes))
	}
	return nil
}
