package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/internal/tasks"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Broker publishes to and consumes from RabbitMQ. It implements [leat.Broker], [leat.Declarer] and [leat.HealthReporter], and is safe for
// concurrent use. It has a connection for publishing, and another for streams and requests.
type Broker struct {
	o          Options
	publishing *connector
	consuming  *connector // for requests too
	publisher  *publisher
	management *management // nil where there is none
	closing    sync.Once
	tasks      tasks.Group // everything that runs in the background and ends with the connections

	mu      sync.Mutex
	closed  bool
	streams map[*Stream]struct{}
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.Declarer       = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
	_ leat.Withdrawer     = (*Broker)(nil)
)

// New returns a Broker. It does not connect: addresses and credentials show to be right or wrong at the first call that needs the
// broker. The error is an [*leat.Error] with [leat.CodeInvalid], or [leat.CodeUnsupported] for what cannot be done yet.
func New(o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults(), streams: map[*Stream]struct{}{}}
	if err := b.o.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	h := &hosts{failed: make([]time.Time, len(b.o.Hosts))}
	b.publishing, b.consuming = newConnector(&b.o, "publish", h), newConnector(&b.o, "consume", h)
	b.publisher = newPublisher(b)
	b.management = newManagement(&b.o)
	return b, nil
}

// Limits returns the largest event that fits into [Options].MaxMessageBytes. There is no limit to attributes: an event whose attributes do
// not fit into the headers of a message is published in structured mode.
func (b *Broker) Limits() leat.Limits {
	return leat.Limits{MaxEventBytes: b.o.mostEventBytes()}
}

// WithChannel calls f with a channel of its own, for what Leat does not cover, and closes the channel afterwards. The channel is on the
// connection for publishing, which an alarm of the broker blocks: its end is waited for. f should not consume by it. ctx bounds the
// connecting, not f. The error is f's, or an [*leat.Error].
func (b *Broker) WithChannel(ctx context.Context, f func(ch *amqp.Channel) error) error {
	if f == nil {
		return &leat.Error{Op: opChannel, Code: leat.CodeInvalid, Err: errors.New("the function is nil")}
	}
	if err := b.refusal(ctx, opChannel, ""); err != nil {
		return err
	}
	return b.withChannel(ctx, opChannel, "", f)
}

// Health returns nil, or an [*leat.Error] that says what is wrong: the connection that publishes is lost or blocked, or publishes are
// not answered. Several are joined. What concerns one stream is in [Stream.Health], the connection that consumes included; while there is
// no stream, that is reported here.
func (b *Broker) Health() error {
	b.mu.Lock()
	closed, consumes := b.closed, len(b.streams) > 0
	b.mu.Unlock()
	if closed {
		return closedError("health", "")
	}
	errs := []error{b.publishing.health(), b.publisher.health()}
	if !consumes { // else each stream says what the lost connection means to it
		errs = append(errs, b.consuming.health())
	}
	return join(errs)
}

// join returns the only error of errs as it is, and several joined.
func join(errs []error) error {
	var only error
	n := 0
	for _, err := range errs {
		if err != nil {
			only = err
			n++
		}
	}
	if n > 1 {
		return errors.Join(errs...)
	}
	return only
}

// refusal returns why a call cannot be served at all, or nil.
func (b *Broker) refusal(ctx context.Context, op, topic string) error {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return closedError(op, topic)
	}
	if ctx.Err() != nil {
		return &leat.Error{Op: op, Topic: topic, Code: leat.CodeCanceled, Err: fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx))}
	}
	if err := leat.CheckTopic(topic); topic != "" && err != nil {
		return &leat.Error{Op: op, Code: leat.CodeInvalid, Err: fmt.Errorf("topic %w", err)}
	}
	return nil
}

// bounded returns ctx with the RequestTimeout.
func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.o.RequestTimeout, fmt.Errorf("no answer within the RequestTimeout of %v", b.o.RequestTimeout))
}

// Close closes the streams, waits for the answers to publishes that are under way, and ends the connections, all within
// [Options].CloseTimeout. Publishes without an answer by then are reported as unknown, those that still wait for room as closed.
func (b *Broker) Close() error {
	b.closing.Do(b.close)
	return nil
}

func (b *Broker) close() {
	b.mu.Lock()
	b.closed = true
	streams := b.streams
	b.streams = map[*Stream]struct{}{}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), b.o.CloseTimeout-b.o.CloseTimeout/10) // the rest is for the connections
	defer cancel()
	var wg sync.WaitGroup
	for s := range streams {
		wg.Go(func() { _ = s.Close(ctx) })
	}
	b.closePublishing(ctx)
	wg.Wait()
	b.closeConnections()
	b.tasks.Wait()
}

// enter counts a call that begins goroutines, so that Close awaits it: done is its end.
func (b *Broker) enter(op, topic string) (done func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, closedError(op, topic)
	}
	b.tasks.Begin()
	return b.tasks.End, nil
}

// remember enters a stream, so that Close finds it.
func (b *Broker) remember(s *Stream) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return closedError("subscribe", s.sub.Topic)
	}
	b.streams[s] = struct{}{}
	return nil
}

// forget is the end of a stream.
func (b *Broker) forget(s *Stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, s)
}
