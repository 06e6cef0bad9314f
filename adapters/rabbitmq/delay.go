package rabbitmq

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// delays moves events without a key, that were given back for a long time, to delay queues: there
// they take up no room of the stream. When their time is over RabbitMQ puts them into the group's
// queue again. Shorter delays, and those of events with a key, whose later ones must not overtake,
// are waited for by the stream. Stream.mu guards it.
type delays struct {
	s       *Stream
	least   time.Duration   // the least delay that is worth moving an event
	moving  int             // events on their way
	refused map[string]bool // queues that cannot be used

	declaring sync.Mutex
	declared  map[string]bool // queues that are there; declaring guards it
}

// postponement is an event on its way to a delay queue.
type postponement struct {
	generation *generation
	tag        uint64
	event      leat.Event
	trace      *leat.TraceContext
	deliveries int
	until      time.Time
}

const (
	leastQueued = time.Minute
	// mostMoving is how many events may be on their way.
	mostMoving = 1_000
	// deliveriesHeader says how often an event was delivered before it was moved, since the broker
	// then counts anew.
	deliveriesHeader = "leat-deliveries"
)

// take takes an event that was given back. It returns false when it has to wait here. The stream's
// lock is held.
func (d *delays) take(g *generation, tag uint64, of *leat.Delivery, delay time.Duration) bool {
	if d.moving >= mostMoving || d.refused[d.queue(g, delay)] || of.Event.IsZero() {
		return false
	}
	if d.refused == nil {
		d.refused, d.declared = map[string]bool{}, map[string]bool{}
	}
	d.moving++
	p := &postponement{g, tag, of.Event, of.Trace, of.Deliveries, time.Now().Add(delay)}
	d.s.broker.life.Tasks.Go(func() { d.move(p) })
	return true
}

// class is the time to live of the delay queue for a delay: the least one, doubled as often as
// needed. An event waits for its own delay, but also for those before it in the queue; so it may be
// late by as much, and never early.
func (d *delays) class(delay time.Duration) time.Duration {
	class := d.least
	for class < delay {
		class *= 2
	}
	return class
}

// queue is the name of the queue for a delay.
func (d *delays) queue(g *generation, delay time.Duration) string {
	return g.topology.queue.Name + ":delay:" + d.class(delay).String()
}

// move publishes an event to its delay queue.
func (d *delays) move(p *postponement) {
	delay := time.Until(p.until)
	queue := d.queue(p.generation, delay)
	if err := d.declare(p.generation, queue, d.class(delay)); err != nil {
		d.moved(p, queue, err)
		return
	}
	batch := d.s.broker.publisher.ledger.Batch(queue, 1, func(_ int, err error) { d.moved(p, queue, err) })
	m := &batch.Add(0, p.event).Value
	m.key, m.trace, m.postpone = queue, p.trace, p
	d.s.broker.publisher.ledger.Admit(d.s.ctx, batch, d.s.broker.publisher.accept)
}

// apply makes the message of an event one that waits.
func (p *postponement) apply(m *amqp.Publishing) {
	m.Expiration = strconv.FormatInt(max(time.Until(p.until).Milliseconds()+1, 1), 10)
	if m.Headers == nil {
		m.Headers = amqp.Table{}
	}
	m.Headers[deliveriesHeader] = int64(p.deliveries)
}

// deliveriesBefore returns how often the event of a message was delivered before it waited in a
// delay queue.
func deliveriesBefore(m *amqp.Delivery) int {
	if n, ok := m.Headers[deliveriesHeader].(int64); ok && n > 0 && n < 1<<31 {
		return int(n)
	}
	return 0
}

// declare creates a delay queue, or looks whether it is there, where nothing is to be created.
func (d *delays) declare(g *generation, queue string, class time.Duration) error {
	d.declaring.Lock()
	defer d.declaring.Unlock()
	switch {
	case d.declared[queue]:
		return nil
	case len(queue) > rabbit.LongestName:
		return fmt.Errorf("the name of the queue %q is too long", queue)
	}
	own := &g.topology.queue
	arguments := amqp.Table{rabbit.ArgDeadTo: "", rabbit.ArgDeadKey: own.Name, amqp.QueueMessageTTLArg: class.Milliseconds()}
	if kind, ok := own.Arguments[rabbit.ArgType]; ok {
		arguments[rabbit.ArgType] = kind
	}
	if g.topology.quorum() {
		arguments[rabbit.ArgDeadHow], arguments[rabbit.ArgOverflow] = rabbit.AtLeastOnce, amqp.QueueOverflowRejectPublish
	}
	ctx, cancel := d.s.broker.bounded(d.s.ctx)
	defer cancel()
	err := d.s.broker.request(ctx, func(ch *amqp.Channel) error {
		if d.s.broker.o.Provision == ProvisionCreate && !own.Existing {
			_, err := ch.QueueDeclare(queue, own.Durable, false, false, false, arguments)
			return err
		}
		_, err := ch.QueueDeclarePassive(queue, own.Durable, false, false, false, nil)
		return err
	})
	d.declared[queue] = err == nil
	return err
}

// moved ends a postponement: the event is in the delay queue, or has to wait here.
func (d *delays) moved(p *postponement, queue string, err error) {
	g := p.generation
	if err != nil && d.s.ctx.Err() == nil {
		d.s.stuck.Wrong("delayed events wait in the client", codeOf(err).String(), err, append(d.s.about(), slog.String("queue", queue))...)
	}
	if err == nil {
		d.s.stuck.Well("delayed events wait in their queues again", d.s.about()...)
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.moving--
	switch codeOf(err) {
	case leat.CodeNotFound, leat.CodePermissionDenied, leat.CodeConflict, leat.CodeUnsupported, leat.CodeInvalid:
		d.refused[queue] = err != nil
	}
	if g.ended {
		return
	}
	if err == nil {
		g.finish(p.tag)
		return
	}
	g.window.GiveBack(p.tag, time.Until(p.until))
}
