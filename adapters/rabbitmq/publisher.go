package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/tasks"
	amqp "github.com/rabbitmq/amqp091-go"
)

// publisher takes events, up to a bound, which one goroutine sends (writer.go), and others wait for the confirms of (outlet.go). So a
// caller never waits for the socket, on which the broker may let everybody wait.
type publisher struct {
	broker    *Broker
	o         *Options
	exchanges sync.Map // names by topic
	seed      maphash.Seed
	ctx       context.Context //nolint:containedctx // it ends with the publisher
	cancel    context.CancelFunc
	wg        sync.WaitGroup // the writer, and the goroutine of each outlet
	work      chan struct{}  // holds a token when the writer should look
	encoder   encoder        // the writer's own
	batch     []*entry       // the writer's own
	session   *session       // the writer's own: the connection that proven is about
	later     *time.Timer    // the writer's own: when a lane may open its channel again

	mu     sync.Mutex
	begun  bool // the writer runs
	closed bool
	lanes  []lane
	turn   int             // the lane of the next events without a key
	proven map[route]bool  // what the broker is known to take on its current connection
	byKey  map[string]bool // topics of which it has refused a routing key there
	events int             // under way, those included whose outcome is unknown by now
	bytes  int
	line   []*waiter // publishes that wait for room; only the first may take it
	idle   chan struct{}
	// refusal is why a lane that has something to send has no channel. The writer sets it.
	refusal symptom
	// The calls under way, oldest first. They time out in that order.
	oldest, newest *call
	timer          *tasks.Timer // for the oldest; nil when there is none
}

// lane is the queue of the keys that go by one channel.
type lane struct {
	queue  []*entry // to be sent, in order
	outlet *outlet  // nil while there is no channel
	alone  bool     // what was sent last is the first of its route, and nothing follows before its answer
	// notBefore is the writer's own: when the channel, which the broker has refused, may be opened again.
	notBefore time.Time
}

// call is what one Publish had taken at once. publisher.mu guards what it holds.
type call struct {
	topic, exchange string
	trace           *leat.TraceContext
	done            func(i int, err error)
	entries         []entry
	left            int // entries that take up room
	deadline        time.Time
	older, newer    *call
	linked          bool
	one             [1]entry // for a call with one event
}

// entry is one event on its way.
type entry struct {
	call  *call
	event leat.Event
	key   string // routing key
	index int    // in the caller's events
	sent  bool   // or about to be; publisher.mu guards it
	told  bool   // done was called, or is about to be; publisher.mu guards it

	answer atomic.Pointer[amqp.DeferredConfirmation] // nil until it is written
	// Of a message that came back, outlet's own.
	returned *amqp.Return
	postpone *postponement // of one that goes to a delay queue
}

// waiter is a publish in line.
type waiter struct {
	ready chan struct{} // holds a token when the waiter is first and may find room, or when the publisher is closed
	size  int           // of its next event
}

func (w *waiter) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
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
		broker: b, o: &b.o, seed: maphash.MakeSeed(), work: make(chan struct{}, 1), lanes: make([]lane, b.o.PublishChannels),
		proven: map[route]bool{}, byKey: map[string]bool{}, idle: make(chan struct{}, 1),
		encoder: encoder{structured: b.o.Structured, bodyBytes: b.o.MaxMessageBytes},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// admit takes as many of the entries of c as there is room for, at least one, waits for that, and returns the others.
func (p *publisher) admit(ctx context.Context, c *call) (rest []entry, err error) {
	var w *waiter
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, closedError("publish", "")
		}
		if len(p.line) == 0 || w != nil && p.line[0] == w {
			if n := p.room(c.entries); n > 0 {
				rest = c.entries[n:]
				c.entries = c.entries[:n:n]
				p.take(c)
				if w != nil {
					p.leave(w)
				}
				p.mu.Unlock()
				p.wake()
				return rest, nil
			}
		}
		if w == nil {
			w = &waiter{ready: make(chan struct{}, 1), size: c.entries[0].event.Size()}
			p.line = append(p.line, w)
		}
		p.mu.Unlock()
		select {
		case <-w.ready:
		case <-ctx.Done():
			p.mu.Lock()
			p.leave(w)
			p.mu.Unlock()
			return nil, &leat.Error{Code: leat.CodeCanceled, Err: fmt.Errorf("%w while the buffer of %d events or %d bytes was full",
				context.Cause(ctx), p.o.Buffer, p.o.BufferBytes)}
		}
	}
}

// room returns how many of the entries may be taken now.
func (p *publisher) room(entries []entry) int {
	events, bytes := p.events, p.bytes
	for n := range entries {
		size := entries[n].event.Size()
		if events > 0 && (events >= p.o.Buffer || bytes+size > p.o.BufferBytes) {
			return n
		}
		events++
		bytes += size
	}
	return len(entries)
}

// take enters c, and its entries into the lanes. The lock is held.
func (p *publisher) take(c *call) {
	if !p.begun {
		p.begun = true
		p.wg.Go(p.write)
	}
	c.deadline, c.left, c.linked = time.Now().Add(p.o.DeliveryTimeout), len(c.entries), true
	topic := maphash.String(p.seed, c.topic)
	p.turn++
	for i := range c.entries {
		e := &c.entries[i]
		at := uint64(p.turn)
		if key := e.event.Key(); key != "" {
			at = topic ^ maphash.String(p.seed, key)
		}
		l := &p.lanes[at%uint64(len(p.lanes))]
		l.queue = append(l.queue, e)
		p.bytes += e.event.Size()
	}
	p.events += len(c.entries)
	c.older = p.newest
	if p.newest != nil {
		p.newest.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	if p.timer == nil {
		p.timer = p.broker.tasks.AfterFunc(p.o.DeliveryTimeout, p.expire)
	}
}

// wake makes the writer look.
func (p *publisher) wake() {
	select {
	case p.work <- struct{}{}:
	default:
	}
}

// leave takes w out of the line, and lets the next one try. The lock is held.
func (p *publisher) leave(w *waiter) {
	for i, other := range p.line {
		if other == w {
			p.line = append(p.line[:i:i], p.line[i+1:]...)
			break
		}
	}
	if len(p.line) > 0 {
		p.line[0].signal()
	}
}

// finish ends entries: it makes room and tells what became of them, unless that was told before.
func (p *publisher) finish(all []verdict) {
	var last route
	p.mu.Lock()
	for i := range all {
		if r := p.routeOf(all[i].entry); all[i].proves && r != last {
			last = r
			p.prove(r)
		}
		p.release(all[i].entry)
		if all[i].entry.told {
			all[i].entry = nil
		} else {
			all[i].entry.told = true
		}
	}
	p.offerRoom()
	p.mu.Unlock()
	tell(all)
}

func tell(all []verdict) {
	for _, v := range all {
		if v.entry == nil {
			continue
		}
		err := v.err
		if err != nil {
			err = publishError(v.entry.call.topic, v.entry.event, err)
		}
		v.entry.call.done(v.entry.index, err)
	}
}

// release makes room. The lock is held.
func (p *publisher) release(e *entry) {
	p.events--
	p.bytes -= e.event.Size()
	e.call.left--
	if e.call.left == 0 && e.call.linked {
		p.unlink(e.call)
	}
}

// offerRoom lets the first in line try, and tells close when nobody waits for an outcome any more. The lock is held.
func (p *publisher) offerRoom() {
	if len(p.line) > 0 && (p.events < p.o.Buffer && p.bytes+p.line[0].size <= p.o.BufferBytes || p.events == 0) {
		p.line[0].signal()
	}
	if p.closed && p.oldest == nil {
		select {
		case p.idle <- struct{}{}:
		default:
		}
	}
}

func (p *publisher) unlink(c *call) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.older, c.newer, c.linked = nil, nil, false
}

// expire reports what is without an answer for too long, and sets the timer for what comes next. What was sent is unknown, and takes up
// room until the broker answers or the channel is over; what was not sent never will be.
func (p *publisher) expire() {
	now := time.Now()
	p.mu.Lock()
	var late []*call
	for p.oldest != nil && !p.oldest.deadline.After(now) {
		late = append(late, p.oldest)
		p.unlink(p.oldest)
	}
	p.timer = nil
	if p.oldest != nil {
		p.timer = p.broker.tasks.AfterFunc(p.oldest.deadline.Sub(now), p.expire)
	}
	verdicts := p.giveUp(late, &leat.Error{Code: leat.CodeUnavailable, Err: p.unsent()},
		fmt.Errorf("no answer within the DeliveryTimeout of %v", p.o.DeliveryTimeout))
	p.mu.Unlock()
	tell(verdicts)
}

// unsent says why events were not sent in time. The lock is held.
func (p *publisher) unsent() error {
	why := p.trouble()
	if why == nil {
		why = errors.New("the broker is slow")
	}
	return fmt.Errorf("not sent within the DeliveryTimeout of %v: %w", p.o.DeliveryTimeout, why)
}

// wasTold reports whether the outcome of an entry was told.
func (p *publisher) wasTold(e *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return e.told
}

// giveUp makes the verdicts of the entries that have none: refusal for those that were not sent, which leave their lanes, and unknown
// for the others. The lock is held.
func (p *publisher) giveUp(calls []*call, refusal, unknown error) (all []verdict) {
	for _, c := range calls {
		for i := range c.entries {
			e := &c.entries[i]
			if e.told {
				continue
			}
			e.told = true
			if e.sent {
				all = append(all, verdict{entry: e, err: &leat.Error{Code: leat.CodeUnknown, Err: unknown}})
			} else {
				p.release(e)
				all = append(all, verdict{entry: e, err: refusal})
			}
		}
	}
	for i := range p.lanes {
		l := &p.lanes[i]
		n := 0
		for n < len(l.queue) && l.queue[n].told { // older ones come first in a lane, too
			l.queue[n] = nil
			n++
		}
		l.queue = l.queue[n:]
	}
	p.offerRoom()
	return all
}

// closePublishing lets nothing begin any more and waits for the answers, as long as ctx lasts.
func (b *Broker) closePublishing(ctx context.Context) {
	p := b.publisher
	p.mu.Lock()
	p.closed = true
	for _, w := range p.line {
		w.signal()
	}
	p.offerRoom()
	p.mu.Unlock()
	select {
	case <-p.idle:
	case <-ctx.Done():
	}
	p.cancel()
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
	}
	var open []*call
	for p.oldest != nil {
		open = append(open, p.oldest)
		p.unlink(p.oldest)
	}
	verdicts := p.giveUp(open, closedError("publish", ""), errors.New("the broker was closed before an answer came"))
	p.mu.Unlock()
	tell(verdicts)
}

// slowAnswer is from when on an event without an answer shows in health.
const slowAnswer = 10 * time.Second

// health returns nil, or since when publishes are not answered, or some of them have no channel.
func (p *publisher) health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal.err != nil {
		return unhealthy("", codeOf(p.refusal.err), p.refusal.since, fmt.Errorf("no channel for a part of the keys: %w", p.refusal.err))
	}
	if p.oldest == nil {
		return nil
	}
	since := p.oldest.deadline.Add(-p.o.DeliveryTimeout)
	if time.Since(since) < slowAnswer {
		return nil
	}
	return unhealthy(p.oldest.topic, leat.CodeUnavailable, since, errors.New("publishes are not answered"))
}
