package leat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/internal/backoff"
)

// declareTimeout bounds one attempt to declare [ProducerOptions].Topics.
const declareTimeout = 30 * time.Second

// declareBackoff paces the attempts while they fail.
//
//nolint:gochecknoglobals // Go has no constants of a struct type
var declareBackoff = backoff.Policy{Initial: 200 * time.Millisecond, Max: 5 * time.Second, Multiplier: 2, Jitter: 0.5}

// topicDeclaration declares [ProducerOptions].Topics, once. The attempts are the Producer's own:
// all publishes wait for one, and it goes on when the ctx of a publish ends, so that publishes with
// little patience get their topics too.
type topicDeclaration struct {
	broker Broker
	subs   []Subscription

	done atomic.Bool

	mu       sync.Mutex
	attempt  *declareAttempt // the one that is under way, or waits for its time; nil while there is none
	failures int             // in a row
	next     time.Time       // no attempt before
	last     error           // of the newest attempt
	closed   bool
}

// declareAttempt is one attempt to declare.
type declareAttempt struct {
	stop context.CancelFunc
	over chan struct{} // closed when err is set
	err  error
}

// declarationOf returns what declares topics on broker, nil where there are none, or what is wrong
// with their names.
func declarationOf(broker Broker, topics []string) (*topicDeclaration, error) {
	if len(topics) == 0 {
		return nil, nil //nolint:nilnil // nothing to declare, and nothing wrong
	}
	d := &topicDeclaration{broker: broker}
	for i, topic := range topics {
		if err := CheckTopic(topic); err != nil {
			return nil, fmt.Errorf("ProducerOptions.Topics[%d] %w", i, err)
		}
		d.subs = append(d.subs, Subscription{Topic: topic})
	}
	return d, nil
}

// await returns when the topics are declared, or with why the publish to topic is refused: the
// attempt that it waited for failed, or ctx ended.
func (d *topicDeclaration) await(ctx context.Context, topic string) error {
	if d.done.Load() {
		return nil
	}
	err := d.declared(ctx)
	if err == nil {
		return nil
	}
	code := CodeOf(err)
	switch code {
	case CodeUnknown: // of a publish it would say that the event may be stored
		code = CodeUnavailable
	case CodeInternal, CodeCanceled:
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded): // the broker has not answered in time
			code = CodeUnavailable
		case ctx.Err() != nil:
			code = CodeCanceled
		}
	}
	return &Error{Op: "publish", Topic: topic, Code: code, Err: fmt.Errorf("ProducerOptions.Topics cannot be declared: %w", err)}
}

// declared waits for the attempt that is under way, or for a new one.
func (d *topicDeclaration) declared(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	attempt, last := d.join(ctx)
	select {
	case <-attempt.over:
		return attempt.err
	case <-ctx.Done():
		if last != nil {
			return fmt.Errorf("%w; the next attempt is not over yet: %w", last, context.Cause(ctx))
		}
		return fmt.Errorf("the first attempt is not over yet: %w", context.Cause(ctx))
	}
}

// join returns the attempt to wait for, and why the one before failed, if it did.
func (d *topicDeclaration) join(ctx context.Context) (attempt *declareAttempt, last error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attempt != nil {
		return d.attempt, d.last
	}
	a := &declareAttempt{over: make(chan struct{})}
	switch {
	case d.done.Load():
		close(a.over)
	case d.closed:
		a.err = errDeclarationClosed()
		close(a.over)
	default:
		d.attempt = a
		ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
		go d.run(ctx, a, time.Until(d.next))
	}
	return a, d.last
}

// run makes an attempt after wait, and tells those who wait for it.
func (d *topicDeclaration) run(ctx context.Context, a *declareAttempt, wait time.Duration) {
	a.err = errors.New("the broker's Declare called runtime.Goexit") // unless it returns
	defer func() {
		if v := recover(); v != nil {
			a.err = panicked("the broker's Declare", v)
		}
		a.stop()
		d.end(a)
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		a.err = errDeclarationClosed()
		return
	}
	within, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	err := Declare(within, d.broker, d.subs...)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = errDeclarationClosed()
	case within.Err() != nil: // the time of the attempt is no publish's
		err = &Error{Op: "declare", Code: CodeUnavailable, Err: fmt.Errorf("no answer of the broker in %v: %w", declareTimeout, err)}
	}
	a.err = err
}

// end notes the outcome of an attempt.
func (d *topicDeclaration) end(a *declareAttempt) {
	d.mu.Lock()
	d.done.Store(a.err == nil)
	d.attempt, d.last = nil, a.err
	if a.err != nil {
		d.failures++
		d.next = time.Now().Add(declareBackoff.Delay(d.failures, rand.Float64))
	}
	d.mu.Unlock()
	close(a.over)
}

// close ends the attempt that is under way.
func (d *topicDeclaration) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.attempt != nil {
		d.attempt.stop()
	}
}

func errDeclarationClosed() error {
	return &Error{Op: "declare", Code: CodeClosed, Err: errors.New("the Producer was closed before the broker had declared them")}
}
