package eventtest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// line is what publishes of a view go through: a connection to the broker in memory, as if there
// were one. The broker has an event at once, and its answer takes a little while. A cut loses
// answers. While the view is isolated, some events are written into the connection, and what does
// not fit there waits.
type line struct {
	broker *memory.Broker

	mu      sync.Mutex
	answers []answer    // of what is stored, not given yet
	timer   *time.Timer // gives them; nil when there are none
	frozen  chan struct{}
	down    bool // a frozen connection was cut, so that the client knows
	sent    int  // events that were written into the frozen connection
	waiting []*letter
}

// answer is the outcome of an event on its way to the client.
type answer struct {
	done func(i int, err error)
	i    int
}

// letter is a call of Publish during an isolation.
type letter struct {
	ctx    context.Context
	topic  string
	events []leat.Event
	done   func(i int, err error)
	index  []int // of the events, for done
	sent   int   // how many are written into the connection
}

const (
	answerTakes = time.Millisecond
	lineRoom    = 16    // events that fit into a frozen connection
	mostWaiting = 1_000 // calls that wait behind it
)

func (l *line) publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	for {
		l.mu.Lock()
		frozen := l.frozen
		if frozen == nil {
			l.mu.Unlock()
			l.store(ctx, topic, events, func(i int) int { return i }, done)
			return
		}
		if ctx.Err() == nil && len(l.waiting) < mostWaiting {
			l.wait(ctx, topic, events, done)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		select {
		case <-frozen:
		case <-ctx.Done():
			for i := range events {
				done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeCanceled, Err: context.Cause(ctx)})
			}
			return
		}
	}
}

// store hands events to the broker. What it refuses is told at once, as the client would; what it
// has is told a little later.
func (l *line) store(ctx context.Context, topic string, events []leat.Event, index func(i int) int, done func(i int, err error)) {
	l.broker.Publish(ctx, topic, events, func(i int, err error) {
		if err != nil {
			done(index(i), err)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answers = append(l.answers, answer{done, index(i)})
		if l.timer == nil {
			l.timer = time.AfterFunc(answerTakes, l.give)
		}
	})
}

// give gives the answers that have come, unless the connection is frozen.
func (l *line) give() {
	l.mu.Lock()
	l.timer = nil
	var come []answer
	if l.frozen == nil {
		come, l.answers = l.answers, nil
	}
	l.mu.Unlock()
	for _, a := range come {
		a.done(a.i, nil)
	}
}

// wait keeps a call until the isolation ends. The caller holds the lock.
func (l *line) wait(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	a := &letter{ctx: context.WithoutCancel(ctx), topic: topic, events: slices.Clone(events), done: done}
	for i := range events {
		a.index = append(a.index, i)
	}
	if len(l.waiting) == 0 || l.sent < lineRoom {
		a.sent = min(len(events), lineRoom-l.sent)
		l.sent += a.sent
	}
	l.waiting = append(l.waiting, a)
}

func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen == nil {
		l.frozen = make(chan struct{})
	}
}

// thaw lets what waits go on, in order, before anything that is published later.
func (l *line) thaw() {
	for {
		l.mu.Lock()
		if l.frozen == nil {
			l.mu.Unlock()
			return
		}
		waiting := l.waiting
		l.waiting = nil
		if len(waiting) == 0 {
			close(l.frozen)
			l.frozen, l.down, l.sent = nil, false, 0
			if len(l.answers) > 0 && l.timer == nil {
				l.timer = time.AfterFunc(0, l.give)
			}
			l.mu.Unlock()
			return
		}
		l.sent = lineRoom // nothing more is refused that is taken from here on
		l.mu.Unlock()
		for _, a := range waiting {
			l.store(a.ctx, a.topic, a.events, func(i int) int { return a.index[i] }, a.done)
		}
	}
}

// cut loses the answers that are on their way, and what was written into a frozen connection. What
// waits behind that goes out by the next connection.
func (l *line) cut() {
	l.mu.Lock()
	lost := l.answers
	l.answers = nil
	for _, a := range l.waiting {
		for _, i := range a.index[:a.sent] {
			lost = append(lost, answer{a.done, i})
		}
		a.events, a.index, a.sent = a.events[a.sent:], a.index[a.sent:], 0
	}
	if l.frozen != nil {
		l.sent, l.down = lineRoom, true // no other connection can be had
	}
	l.mu.Unlock()
	for _, a := range lost {
		a.done(a.i, &leat.Error{Op: "publish", Code: leat.CodeUnknown, Err: errors.New("the connection was lost before the answer")})
	}
}

// isDown reports whether the client knows that it has no connection.
func (l *line) isDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// withdraw refuses what waits and was not written into the connection.
func (l *line) withdraw(ctx context.Context, topic string, events []leat.Event) {
	type name struct{ source, id string }
	wanted := map[name]bool{}
	for _, e := range events {
		wanted[name{e.Source(), e.ID()}] = true
	}
	l.mu.Lock()
	var refused []answer
	for _, a := range l.waiting {
		if a.topic != topic {
			continue
		}
		left, index := a.events[:a.sent:a.sent], a.index[:a.sent:a.sent]
		for i := a.sent; i < len(a.events); i++ {
			if e := a.events[i]; wanted[name{e.Source(), e.ID()}] {
				refused = append(refused, answer{a.done, a.index[i]})
			} else {
				left, index = append(left, e), append(index, a.index[i])
			}
		}
		a.events, a.index = left, index
	}
	l.mu.Unlock()
	for _, a := range refused {
		a.done(a.i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: context.Cause(ctx)})
	}
}

// close ends the line: nothing that is under way gets its answer.
func (l *line) close() {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	for _, a := range l.waiting { // the connection is lost, and there is no next one
		a.sent = len(a.index)
	}
	l.mu.Unlock()
	l.cut()
}
