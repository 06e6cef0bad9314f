package rabbitmq

import (
	"context"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/options"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Broker publishes to and consumes from RabbitMQ. It implements [leat.Broker], [leat.Declarer] and
// [leat.HealthReporter], and is safe for concurrent use. It has a connection for publishing, and
// another for streams and requests.
type Broker struct {
	o          Options
	publishing *connector
	consuming  *connector // for requests too
	publisher  *publisher
	management *management             // nil where there is none
	looked     sync.Map                // of names of queues to when the last Browse of one ended
	life       lifecycle.Life[*Stream] // its tasks are what runs in the background and ends with the connections
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.Declarer       = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
	_ leat.Withdrawer     = (*Broker)(nil)
)

// New returns a Broker. It does not connect: addresses and credentials show to be right or wrong at
// the first call that needs the broker. The error is an [*leat.Error] with [leat.CodeInvalid].
func New(o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults()}
	b.life.Broker = "the RabbitMQ broker"
	if err := b.o.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	failed, outage := &sync.Map{}, &fault.Incident{Logger: b.o.Logger}
	b.publishing = newConnector(&b.o, "publish", failed, outage)
	b.consuming = newConnector(&b.o, "consume", failed, outage)
	b.publisher = newPublisher(b)
	b.management = newManagement(&b.o)
	return b, nil
}

// System implements [leat.SystemNamer]. It returns "rabbitmq".
func (b *Broker) System() string { return "rabbitmq" }

// Limits returns the largest event that fits into [Options].MaxMessageBytes. There is no limit to
// attributes: an event whose attributes do not fit into the headers of a message is published in
// structured mode.
func (b *Broker) Limits() leat.Limits {
	return leat.Limits{MaxEventBytes: b.o.mostEventBytes()}
}

// WithChannel calls f with a channel of its own, for what Leat does not cover, and closes the
// channel afterwards. The channel is on the connection for publishing, which an alarm of the broker
// blocks: its end is waited for. f should not consume by it. ctx bounds the connecting, not f. The
// error is f's, or an [*leat.Error].
func (b *Broker) WithChannel(ctx context.Context, f func(ch *amqp.Channel) error) error {
	const op = "channel"
	if f == nil {
		return fault.Errorf(op, "", leat.CodeInvalid, "the function is nil")
	}
	if err := b.life.Refuse(ctx, op, ""); err != nil {
		return err
	}
	var own *amqp.Channel
	s, err := b.publishing.connect(ctx)
	if err == nil {
		err = s.unblocked(ctx)
	}
	if err == nil {
		err = s.do(ctx, func(ch *amqp.Channel) error {
			own = ch
			return nil
		})
	}
	if err != nil {
		return fail(ctx, op, "", err)
	}
	defer own.Close() //nolint:errcheck // it is done with
	return f(own)
}

// Health returns nil, or an [*leat.Error] that says what is wrong: the connection that publishes is
// lost or blocked, or publishes are not answered. Several are joined. What concerns one stream is
// in [Stream.Health], the connection that consumes included; while there is no stream, that is
// reported here.
func (b *Broker) Health() error {
	if err := b.life.Closed("health", ""); err != nil {
		return err
	}
	errs := []error{b.publishing.health(), b.publisher.health()}
	if b.life.Streams() == 0 { // else each stream says what the lost connection means to it
		errs = append(errs, b.consuming.health())
	}
	return fault.Join(errs...)
}

// bounded returns ctx with the RequestTimeout.
func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return lifecycle.Bounded(ctx, b.o.RequestTimeout)
}

// Close closes the streams, waits for the answers to publishes that are under way, and ends the
// connections, all within [Options].CloseTimeout. Publishes without an answer by then are reported
// as unknown, those that still wait for room as closed.
func (b *Broker) Close() error {
	b.life.Close(b.o.CloseTimeout, b.closePublishing, func([]*Stream) { b.closeConnections() })
	return nil
}
