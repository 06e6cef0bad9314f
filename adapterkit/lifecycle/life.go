package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// Life is the life of a Broker whose streams are of type S. The zero Life works. It is safe for
// concurrent use.
type Life[S Stream] struct {
	// Broker is how errors call the Broker, such as "the NATS broker".
	Broker string
	// Tasks are what runs in the background. The end of Close awaits them.
	Tasks Tasks

	once sync.Once

	mu      sync.Mutex
	closed  bool
	streams map[S]struct{}
}

// Stream is what Close closes. A [leat.Stream] is one.
type Stream interface {
	comparable

	Close(ctx context.Context) error
}

// ErrClosed returns the error of a call after Close. An empty topic means that the call has none.
func (l *Life[S]) ErrClosed(op, topic string) error {
	err := errors.New(cmp.Or(l.Broker, "the broker") + " is closed; close it behind the last Producer and Consumer")
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: err}
}

// Closed returns the error of a call after Close, and nil before that. Health begins with it.
func (l *Life[S]) Closed(op, topic string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.ErrClosed(op, topic)
	}
	return nil
}

// Refuse returns why a call cannot be served at all, or nil: the Broker is closed, ctx has ended,
// or the topic's name is wrong. An empty topic means that the call has none.
func (l *Life[S]) Refuse(ctx context.Context, op, topic string) error {
	if err := l.Closed(op, topic); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &leat.Error{Op: op, Topic: topic, Code: leat.CodeCanceled, Err: fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx))}
	}
	if err := leat.CheckTopic(topic); topic != "" && err != nil {
		return &leat.Error{Op: op, Code: leat.CodeInvalid, Err: fmt.Errorf("topic %w", err)}
	}
	return nil
}

// RefusePublish is Refuse for a publish, which needs a topic.
func (l *Life[S]) RefusePublish(ctx context.Context, topic string) error {
	err := l.Refuse(ctx, "publish", topic)
	if err == nil && topic == "" {
		err = &leat.Error{Op: "publish", Code: leat.CodeInvalid, Err: errors.New("the topic is empty")}
	}
	return err
}

// RefuseSubscribe is Refuse for a Subscribe, whose subscription it validates as well.
func (l *Life[S]) RefuseSubscribe(ctx context.Context, sub leat.Subscription) error {
	if err := sub.Validate(); err != nil {
		return err
	}
	return l.Refuse(ctx, "subscribe", sub.Topic)
}

// RefuseDeclare is Refuse for a Declare, whose subscriptions it validates as well.
func (l *Life[S]) RefuseDeclare(ctx context.Context, subs ...leat.Subscription) error {
	topic := ""
	for _, sub := range subs {
		if err := sub.ValidateDeclare(); err != nil {
			return err
		}
		if len(subs) == 1 {
			topic = sub.Topic
		}
	}
	return l.Refuse(ctx, "declare", topic)
}

// Enter is RefuseSubscribe for a Subscribe that begins goroutines. It counts the call, so that
// Close awaits it. done is the call's end.
func (l *Life[S]) Enter(ctx context.Context, sub leat.Subscription) (done func(), err error) {
	if err := l.RefuseSubscribe(ctx, sub); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, l.ErrClosed("subscribe", sub.Topic)
	}
	l.Tasks.Begin()
	return l.Tasks.End, nil
}

// Add remembers a stream, so that Close closes it. After Close it returns the error of Subscribe:
// close the stream then.
func (l *Life[S]) Add(topic string, s S) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.ErrClosed("subscribe", topic)
	}
	if l.streams == nil {
		l.streams = map[S]struct{}{}
	}
	l.streams[s] = struct{}{}
	return nil
}

// Remove forgets a stream that is closed.
func (l *Life[S]) Remove(s S) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, s)
}

// Streams returns how many streams there are.
func (l *Life[S]) Streams() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams)
}

// Close ends the life, once; another call waits for the first. From here on calls are refused. All
// streams are closed, side by side, and meanwhile publishing ends the publishes. Both have a
// context that ends after nine tenths of the timeout. Then connections ends the connections, within
// the tenth that is left; it gets the streams that there were. Last, Close awaits the Tasks.
func (l *Life[S]) Close(timeout time.Duration, publishing func(ctx context.Context), connections func(streams []S)) {
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		streams := slices.Collect(maps.Keys(l.streams))
		clear(l.streams)
		l.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), timeout-timeout/10)
		defer cancel()
		var wg sync.WaitGroup
		for _, s := range streams {
			wg.Go(func() { _ = s.Close(ctx) })
		}
		publishing(ctx)
		wg.Wait()
		connections(streams)
		l.Tasks.Wait()
	})
}

// Bounded returns ctx with the RequestTimeout of the adapter's options, which the cause of its end
// names.
func Bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within the RequestTimeout of %v", timeout))
}
