package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
	amqp "github.com/rabbitmq/amqp091-go"
)

// publisher takes events, up to a bound, which one goroutine sends (writer.go), and others wait for
// the confirms of (outlet.go). So a caller never waits for the socket, on which the broker may let
// everybody wait.
type publisher struct {
	broker  *Broker
	o       *Options
	ledger  *publish.Ledger[outgoing]
	seed    maphash.Seed
	ctx     context.Context    //nolint:containedctx // it ends with the publisher
	cancel  context.CancelFunc // called under mu
	wg      sync.WaitGroup     // the writer, and the goroutine of each outlet
	work    chan struct{}      // holds a token when the writer should look
	encoder encoder            // the writer's own
	batch   []*entry           // the writer's own
	session *session           // the writer's own: the connection that proven is about
	// notBefore is the writer's own: when lanes may open channels again after the broker has
	// refused one.
	notBefore time.Time

	lanes []lane // a fixed number

	mu     sync.Mutex
	begun  bool            // the writer runs
	turn   int             // the lane of the next events without a key
	proven map[route]bool  // what the broker is known to take on its current connection
	byKey  map[string]bool // topics of which it has refused a routing key there
	// refusal is why a lane that has something to send has no channel. The writer sets it.
	refusal fault.Symptom
}

// lane is the queue of the keys that go by one channel. publisher.mu guards outlet and alone.
type lane struct {
	queue  publish.Queue[outgoing]
	outlet *outlet // nil while there is no channel
	alone  bool    // what was sent last is the first of its route, and nothing follows before its answer
}

// entry is one event on its way.
type entry = publish.Entry[outgoing]

// outgoing is what is kept for an event on its way.
type outgoing struct {
	exchange string
	key      string // routing key
	trace    *leat.TraceContext

	answer atomic.Pointer[amqp.DeferredConfirmation] // nil until it is written
	// Of a message that came back, outlet's own.
	returned *amqp.Return
	postpone *postponement // of one that goes to a delay queue
}

// verdict is the outcome of an entry.
type verdict struct {
	entry  *entry
	err    error
	tag    uint64 // outlet's own
	proves bool   // the broker takes what goes by its route
}

func newPublisher(b *Broker) *publisher {
	p := &publisher{
		broker: b, o: &b.o, seed: maphash.MakeSeed(), work: make(chan struct{}, 1),
		lanes: make([]lane, b.o.PublishChannels), proven: map[route]bool{}, byKey: map[string]bool{},
		encoder: encoder{structured: b.o.Structured, bodyBytes: b.o.MaxMessageBytes},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.ledger = publish.New[outgoing](publish.Options{
		Events: b.o.Buffer, Bytes: b.o.BufferBytes, Timeout: b.o.DeliveryTimeout, Trouble: p.trouble,
	})
	return p
}

// Publish implements [leat.Broker]: it admits the events, which the writer then sends. Events are
// refused with CodeInvalid, CodeTooLarge, CodeNotFound (the topic's exchange, or no queue that
// takes the event), CodePermissionDenied, CodeUnauthenticated, CodeUnavailable (not sent within
// [Options].DeliveryTimeout), CodeCanceled or CodeClosed. CodeUnknown is what was sent and not
// confirmed: the connection or channel was lost, no answer came within the DeliveryTimeout, or the
// broker answered nack, which it does when one of the topic's queues did not take the event; others
// may have.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	var x Exchange
	refusal := b.life.RefusePublish(ctx, topic)
	if refusal == nil {
		x, refusal = b.exchangeOf(topic)
	}
	trace, most := leat.TraceFrom(ctx), b.o.mostEventBytes()
	b.publisher.ledger.Publish(ctx, topic, events, done, func(e leat.Event, m *outgoing) error {
		err := cmp.Or(refusal, publish.Check(e, most))
		if err == nil {
			m.exchange, m.trace = x.Name, trace
			m.key, err = b.o.routingKey(topic, e)
		}
		return err
	}, b.publisher.accept)
}

// leatEventBytes is the largest event that Leat allows on any broker.
const leatEventBytes = 1 << 20

// mostEventBytes is the size of the largest event. One whose attributes do not fit into a frame has
// to be written as JSON, in which a character that is escaped takes two.
func (o *Options) mostEventBytes() int {
	return min((o.MaxMessageBytes-messageOverheadBytes)/2, leatEventBytes)
}

// accept puts admitted entries, which have one topic, into their lanes.
func (p *publisher) accept(entries []entry) {
	topic := maphash.String(p.seed, entries[0].Topic())
	p.mu.Lock()
	if !p.begun && p.ctx.Err() == nil {
		p.begun = true
		p.wg.Go(p.write)
	}
	p.turn++
	turn := p.turn
	p.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		at := uint64(turn)
		if key := e.Event().Key(); key != "" {
			at = topic ^ maphash.String(p.seed, key)
		}
		p.lanes[at%uint64(len(p.lanes))].queue.Push(e)
	}
	p.wake()
}

// wake makes the writer look.
func (p *publisher) wake() { lifecycle.Signal(p.work) }

// finish ends entries.
func (p *publisher) finish(all []verdict) {
	var last route
	p.mu.Lock()
	for i := range all {
		if !all[i].proves {
			continue
		}
		r := p.routeOf(all[i].entry)
		if r == last {
			continue
		}
		last = r
		if len(p.proven) >= mostRoutes {
			clear(p.proven)
		}
		p.proven[r] = true
	}
	p.mu.Unlock()
	for i := range all {
		all[i].entry.Done(all[i].err)
	}
}

// closePublishing lets nothing begin any more and waits for the answers, as long as ctx lasts.
func (b *Broker) closePublishing(ctx context.Context) {
	p := b.publisher
	p.ledger.Close(ctx)
	p.mu.Lock() // what was admitted in time and is accepted late does not start the writer
	defer p.mu.Unlock()
	p.cancel()
}

// health returns nil, or since when publishes are not answered, or some of them have no channel.
func (p *publisher) health() error { return cmp.Or(p.refused(), p.ledger.Health()) }

// refused returns nil, or since when some lanes have no channel.
func (p *publisher) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal.Err == nil {
		return nil
	}
	return fault.Health("", codeOf(p.refusal.Err), p.refusal.Since, fmt.Errorf("no channel for a part of the keys: %w", p.refusal.Err))
}

// trouble says what is wrong with the connection or the channels, nil where they are well.
func (p *publisher) trouble() error {
	err := cmp.Or(p.broker.publishing.health(), p.refused())
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Err
	}
	if !p.broker.publishing.connected() {
		return errors.New("there is no connection yet")
	}
	return nil
}

// Withdraw implements [leat.Withdrawer]: it refuses events that the writer has not begun to send.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	b.publisher.ledger.Withdraw(ctx, topic, events)
}
