package leat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// topicDeclaration declares [ProducerOptions].Topics, once. Publishes that come at the same time
// wait for one attempt.
type topicDeclaration struct {
	broker Broker
	subs   []Subscription

	done atomic.Bool
	mu   sync.Mutex
	call *declareCall // the attempt that is under way; nil while there is none
}

// declareCall is one attempt to declare.
type declareCall struct {
	over chan struct{} // closed when the rest is set
	err  error
	mine bool // it failed because the ctx of the publish that made it ended: no news for the others
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

// await returns when the topics are declared, or with why the publish to topic is refused.
func (d *topicDeclaration) await(ctx context.Context, topic string) error {
	if d.done.Load() {
		return nil
	}
	err := d.declare(ctx)
	if err == nil {
		return nil
	}
	code := CodeOf(err)
	switch code {
	case CodeUnknown: // of a publish it would say that the event may be stored
		code = CodeUnavailable
	case CodeInternal:
		if ctx.Err() != nil {
			code = CodeCanceled
		}
	}
	return &Error{Op: "publish", Topic: topic, Code: code, Err: fmt.Errorf("ProducerOptions.Topics cannot be declared: %w", err)}
}

// declare joins the attempt that is under way, or makes one.
func (d *topicDeclaration) declare(ctx context.Context) error {
	for {
		d.mu.Lock()
		call := d.call
		switch {
		case d.done.Load():
			d.mu.Unlock()
			return nil
		case call == nil:
			call = &declareCall{over: make(chan struct{})}
			d.call = call
			d.mu.Unlock()
			d.run(ctx, call)
			return call.err
		}
		d.mu.Unlock()
		select {
		case <-call.over:
		case <-ctx.Done():
			return fmt.Errorf("another publish has not finished that: %w", context.Cause(ctx))
		}
		if call.err == nil || !call.mine {
			return call.err
		}
	}
}

// run makes an attempt, and tells those who wait for it.
func (d *topicDeclaration) run(ctx context.Context, call *declareCall) {
	call.err = errors.New("the declaration panicked") // unless it returns
	defer func() {
		d.mu.Lock()
		d.done.Store(call.err == nil)
		d.call = nil
		d.mu.Unlock()
		close(call.over)
	}()
	call.err = Declare(ctx, d.broker, d.subs...)
	call.mine = ctx.Err() != nil
}
