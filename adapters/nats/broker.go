package nats

import (
	"context"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Broker publishes to and consumes from NATS JetStream. It is safe for concurrent use. It has a
// connection for publishing, and another for streams and requests.
type Broker struct {
	o         Options
	log       *journal
	publisher *publisher
	link      *link                   // for streams and requests
	life      lifecycle.Life[*Stream] // its tasks end with the connections
	topics    lifecycle.Memo[string, *topic]
	exists    sync.Map // the names of topics that have answered: as many as there are streams

	mu      sync.Mutex
	streams map[*Stream]struct{} // those that want to know of the connection
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.Declarer       = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
	_ leat.LagReporter    = (*Broker)(nil)
	_ leat.Withdrawer     = (*Broker)(nil)
)

// New returns a Broker, which connects in the background. The error is an [*leat.Error] with
// [leat.CodeInvalid].
func New(o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults(), streams: map[*Stream]struct{}{}}
	b.life.Broker = "the NATS broker"
	if err := b.o.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	b.log = newJournal(b.o.Logger)
	b.link = newLink(&b.o, "consume", b.log, &b.life.Tasks)
	b.link.up = func() { b.each((*Stream).reconnected) }
	b.link.down = func(err error) { b.each(func(s *Stream) { s.disconnected(err) }) }
	b.publisher = newPublisher(&b.o, b.log, &b.life.Tasks)
	b.link.start()
	return b, nil
}

// each calls f for the streams.
func (b *Broker) each(f func(s *Stream)) {
	b.mu.Lock()
	streams := make([]*Stream, 0, len(b.streams))
	for s := range b.streams {
		streams = append(streams, s)
	}
	b.mu.Unlock()
	for _, s := range streams {
		f(s)
	}
}

// System implements [leat.SystemNamer]. It returns "nats", for which the conventions have no name
// yet.
func (b *Broker) System() string { return "nats" }

// Limits returns the largest event that fits into [Options].MaxMessageBytes. There is no limit to
// attributes: an event whose attributes do not fit into headers is published in structured mode.
func (b *Broker) Limits() leat.Limits {
	return leat.Limits{MaxEventBytes: b.o.mostEventBytes()}
}

// WithConn waits for the connection that consumes and calls f with it, for what Leat does not
// cover. f must not close it. ctx bounds the wait, not f. The error is f's, or an [*leat.Error].
func (b *Broker) WithConn(ctx context.Context, f func(nc *nats.Conn) error) error {
	if f == nil {
		return fault.Errorf("conn", "", leat.CodeInvalid, "the function is nil")
	}
	if err := b.life.Refuse(ctx, "conn", ""); err != nil {
		return err
	}
	request, cancel := b.bounded(ctx)
	defer cancel()
	if err := b.link.do(request, func(context.Context) error { return nil }); err != nil {
		return fail(ctx, "conn", "", err)
	}
	return f(b.link.nc)
}

// Health returns nil, or an [*leat.Error] that says what is wrong: the connection that publishes is
// lost, or publishes are not answered. What concerns one stream is in [Stream.Health], the
// connection that consumes included; while there is no stream, that is reported here.
func (b *Broker) Health() error {
	if err := b.life.Closed("health", ""); err != nil {
		return err
	}
	errs := []error{b.publisher.health()}
	if b.life.Streams() == 0 {
		errs = append(errs, b.link.health(""))
	}
	return fault.Join(errs...)
}

// do calls f, which makes requests of JetStream, bounded by ctx and the RequestTimeout. f may
// outlive the call: it writes to nothing that others read. See ask.
func (b *Broker) do(
	ctx context.Context, f func(ctx context.Context, js jetstream.JetStream) error,
) error {
	request, cancel := b.bounded(ctx)
	defer cancel()
	return b.link.do(request, func(ctx context.Context) error { return f(ctx, b.link.js) })
}

// ask is do for an f that finds something.
func ask[T any](
	ctx context.Context, b *Broker, f func(ctx context.Context, js jetstream.JetStream) (T, error),
) (found T, err error) {
	answer := make(chan T, 1)
	err = b.do(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		v, err := f(ctx, js)
		answer <- v
		return err
	})
	if err == nil {
		found = <-answer
	}
	return found, err
}

func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return lifecycle.Bounded(ctx, b.o.RequestTimeout)
}

// Close closes the streams, waits for the answers to publishes that are under way, and ends the
// connections, all within [Options].CloseTimeout. Publishes without an answer by then are reported
// as unknown, those that still wait for room as closed.
func (b *Broker) Close() error {
	b.life.Close(b.o.CloseTimeout, b.publisher.close, func([]*Stream) {
		ctx, cancel := context.WithTimeout(context.Background(), b.o.CloseTimeout/20)
		defer cancel()
		b.publisher.link.close(ctx)
		b.link.close(ctx)
	})
	return nil
}
