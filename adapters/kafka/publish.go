package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publisher hands events to the client and reports their outcomes. It bounds what is under way itself, because the client's own bound
// cannot be waited for without tying the records to the waiting context.
type publisher struct {
	admission

	renewal *renewal
	o       *Options
	conns   *connections
	parcels parcelPools
	copies  bool           // records are not made of the bytes of their events
	purging sync.Map       // the topics that the client is forgetting
	purges  sync.WaitGroup // that

	// What is under way, unanswered events whose outcome is unknown by now included. They grow under mu only.
	events, bytes atomic.Int64
	waiting       atomic.Bool // somebody waits in line

	holding atomic.Bool    // something is held, or is about to be given to the client
	opening sync.WaitGroup // open

	mu     sync.Mutex
	closed bool
	held   []*call       // taken, and not given to the client
	opened chan struct{} // closed when nothing is held any more
	hurry  chan struct{} // holds a token when open should look at once
	line   []*waiter     // publishes that wait for room; only the first may take it
	// The calls under way, oldest first. They time out in that order.
	oldest, newest *call
	timer          *time.Timer // for the oldest; nil when there is none
}

// waiter is a publish in line.
type waiter struct {
	ready chan struct{} // holds a token when the waiter is first and may find room, or when the publisher is closed
	bytes int64         // of its next event
}

func (w *waiter) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// call is what one Publish had taken at once.
type call struct {
	p            *publisher
	topic        string
	done         func(i int, err error)
	parcel       *parcel
	records      []record     // of the parcel
	left         atomic.Int64 // records without an answer of the client
	doubts       int64        // connections.doubts when it was taken
	patience     time.Duration
	deadline     time.Time
	older, newer *call // guarded by publisher.mu
	timedOut     bool
	held         bool // guarded by publisher.mu
}

// record is one event on its way. It is its own context, so that the client's answer leads back to it without an allocation; as a
// context it never ends. The client may keep it as a context when it has answered, so these methods read nothing of it.
type record struct {
	kafka     kgo.Record
	call      *call
	index     int // in the caller's events
	event     leat.Event
	size      int64
	told      atomic.Bool // done was called
	withdrawn bool        // it was held, and never goes to the client; guarded by publisher.mu
}

func (*record) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (*record) Done() <-chan struct{}                   { return nil }
func (*record) Err() error                              { return nil }

// recordKey is the key by which a record is found in a context that was derived from it, as hooks that trace do.
type recordKey struct{}

func (r *record) Value(key any) any {
	if key == (recordKey{}) {
		return r
	}
	return nil
}

// recordOf returns the record that a client's record belongs to.
func recordOf(r *kgo.Record) *record {
	if rec, ok := r.Context.(*record); ok {
		return rec
	}
	return r.Context.Value(recordKey{}).(*record) //nolint:forcetypeassert // encode put it there
}

// Publish implements [leat.Broker]. Events are refused with CodeInvalid, CodeTooLarge, CodeNotFound (the topic), CodePermissionDenied,
// CodeUnauthenticated, CodeUnavailable, CodeCanceled or CodeClosed; what a broker was sent and did not answer is CodeUnknown, at
// the latest after [Options].DeliveryTimeout.
//
// Kafka refuses record batches, not records: an event that the topic does not take, larger than its max.message.bytes or without a key
// where it is compacted, is refused together with those that wait for the same partition at that time.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	err := b.refusal(ctx, "publish", topic)
	if err == nil && topic == "" {
		err = &leat.Error{Op: "publish", Code: leat.CodeInvalid, Err: errors.New("the topic is empty")}
	}
	if err != nil {
		for i := range events {
			done(i, err)
		}
		return
	}
	waited, err := b.publisher.check(ctx, b.publisher.renewal.client())
	if err != nil {
		if leat.CodeOf(err) == leat.CodeCanceled {
			err = b.publisher.unsent(ctx)
		}
		for i := range events {
			done(i, wrap(topic, events[i], err))
		}
		return
	}
	b.publisher.publish(ctx, topic, events, done, b.patience(waited))
}

// patience returns what is left of the DeliveryTimeout when the question to the cluster took this long. The answer may be late on a busy
// machine; some time is always left, so that a call can be held before it is over.
func (b *Broker) patience(waited time.Duration) time.Duration {
	return max(b.o.DeliveryTimeout-waited, b.o.DeliveryTimeout/10)
}

// publish publishes, and has patience for the answers.
func (p *publisher) publish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error), patience time.Duration,
) {
	b := p.encode(topic, events, leat.TraceFrom(ctx), done)
	defer p.parcels.drop(b)
	records := b.records
	for len(records) > 0 {
		c := b.call()
		c.p, c.topic, c.done, c.patience = p, topic, done, patience
		n, err := p.admit(ctx, c, records)
		if err != nil {
			for i := range records {
				done(records[i].index, wrap(topic, events[records[i].index], err))
			}
			return
		}
		taken := records[:n] // not c.records: c may be used for something else as soon as all of them are answered
		records = records[n:]
		if p.hold(c) {
			continue
		}
		client := p.renewal.client()
		for i := range taken {
			client.TryProduce(context.Background(), &taken[i].kafka, answered)
		}
	}
}

// encode makes the records of the events that can be sent, and refuses the others.
func (p *publisher) encode(topic string, events []leat.Event, trace *leat.TraceContext, done func(i int, err error)) *parcel {
	b := p.parcels.take(events, trace, p.o)
	b.encoder.copies = p.copies
	records := b.records[:cap(b.records)]
	used := 0
	for i, e := range events {
		r := &records[used]
		if err := p.encodeOne(&b.encoder, &r.kafka, e); err != nil {
			r.kafka = kgo.Record{}
			done(i, wrap(topic, e, err))
			continue
		}
		r.kafka.Topic, r.kafka.Context = topic, r
		r.index, r.size, r.event = i, int64(e.Size()), e
		used++
	}
	b.records = records[:used]
	return b
}

func (p *publisher) encodeOne(n *encoder, r *kgo.Record, e leat.Event) error {
	if e.IsZero() {
		return &leat.Error{Code: leat.CodeInvalid, Err: errors.New("the zero Event is no event")}
	}
	if most := p.o.mostEventBytes(); e.Size() > most {
		return &leat.Error{Code: leat.CodeTooLarge, Err: fmt.Errorf("the event has %d bytes; at most %d fit into MaxMessageBytes",
			e.Size(), most)}
	}
	return n.encode(r, e)
}

// wrap makes the error of one event.
func wrap(topic string, e leat.Event, err error) error {
	w := &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: leat.CodeOf(err), Err: err}
	if inner, ok := errors.AsType[*leat.Error](err); ok {
		w.Err = inner.Err
	}
	return w
}

// admit takes as many of the records as there is room for, at least one, into c, waits for that, and returns how many.
func (p *publisher) admit(ctx context.Context, c *call, records []record) (int, error) {
	var w *waiter
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return 0, closedError("publish", "")
		}
		if len(p.line) == 0 || w != nil && p.line[0] == w {
			if n := p.room(records); n > 0 {
				p.take(c, records[:n:n])
				if w != nil {
					p.leave(w)
				}
				p.mu.Unlock()
				return n, nil
			}
		}
		if w == nil {
			w = &waiter{ready: make(chan struct{}, 1), bytes: records[0].size}
			p.line = append(p.line, w)
			p.waiting.Store(true)
			if p.line[0] == w && p.room(records) > 0 { // what left before waiting was set told nobody
				w.signal()
			}
		}
		p.mu.Unlock()
		select {
		case <-w.ready:
		case <-ctx.Done():
			p.mu.Lock()
			p.leave(w)
			p.mu.Unlock()
			return 0, &leat.Error{Code: leat.CodeCanceled, Err: fmt.Errorf("%w while the buffer of %d events or %d bytes was full",
				context.Cause(ctx), p.o.Buffer, p.o.BufferBytes)}
		}
	}
}

// room returns how many of the records may be taken now.
func (p *publisher) room(records []record) int {
	events, bytes := p.events.Load(), p.bytes.Load()
	for n := range records {
		fits := events < int64(p.o.Buffer) && bytes+records[n].size <= int64(p.o.BufferBytes)
		if !fits && events > 0 {
			return n
		}
		events++
		bytes += records[n].size
	}
	return len(records)
}

// take puts the records into c and enters it. The lock is held.
func (p *publisher) take(c *call, records []record) {
	now := time.Now() // of the records as well: the client counts its delivery timeout from there
	c.records, c.deadline, c.doubts = records, now.Add(c.patience), p.conns.doubts.Load()
	c.left.Store(int64(len(records)))
	c.parcel.users.Add(1)
	var bytes int64
	for i := range records {
		records[i].call, records[i].kafka.Timestamp = c, now
		bytes += records[i].size
	}
	p.events.Add(int64(len(records)))
	p.bytes.Add(bytes)
	p.link(c)
	if p.timer == nil {
		p.timer = time.AfterFunc(c.patience, p.expire)
	} else if p.oldest == c {
		p.timer.Reset(c.patience)
	}
}

// link puts a call where its deadline belongs, which is last, but for calls that have waited before any broker could be asked. The lock is
// held.
func (p *publisher) link(c *call) {
	c.older = p.newest
	for c.older != nil && c.older.deadline.After(c.deadline) {
		c.older, c.newer = c.older.older, c.older
	}
	if c.older != nil {
		c.older.newer = c
	} else {
		p.oldest = c
	}
	if c.newer != nil {
		c.newer.older = c
	} else {
		p.newest = c
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
	p.waiting.Store(len(p.line) > 0)
	if len(p.line) > 0 {
		p.line[0].signal()
	}
}

// answered is the client's answer for a record.
func answered(r *kgo.Record, err error) {
	rec := recordOf(r)
	c := rec.call
	p, topic := c.p, c.topic // c may be used for something else when all of its records are answered
	p.settle(rec, c.outcome(rec, err))
	switch {
	case errors.Is(err, kerr.UnknownTopicID):
		p.purge(topic)
	case err != nil:
		p.renewal.suspect(err)
	case !p.granted.Load():
		p.granted.Store(true) // no broker could be asked before, and this one has accepted the producer
	}
}

// settle tells the outcome of a record, unless that was told before, and makes room. The record may be used for something else then.
func (p *publisher) settle(r *record, err error) {
	c := r.call
	if !r.told.Swap(true) {
		c.done(r.index, err)
	}
	p.bytes.Add(-r.size)
	p.events.Add(-1)
	if c.left.Add(-1) == 0 {
		p.remove(c)
	} else if p.waiting.Load() {
		p.mu.Lock()
		p.offerRoom()
		p.mu.Unlock()
	}
}

// offerRoom lets the first in line try. The lock is held.
func (p *publisher) offerRoom() {
	if len(p.line) > 0 && (p.events.Load() < int64(p.o.Buffer) && p.bytes.Load()+p.line[0].bytes <= int64(p.o.BufferBytes) ||
		p.events.Load() == 0) {
		p.line[0].signal()
	}
}

// remove forgets a call that is answered.
func (p *publisher) remove(c *call) {
	p.mu.Lock()
	p.offerRoom()
	timedOut := c.timedOut
	if !timedOut {
		p.unlink(c)
	}
	p.mu.Unlock()
	if !timedOut { // else giveUp may be looking at it
		p.parcels.drop(c.parcel)
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
	c.older, c.newer = nil, nil
}

// expire reports what is without an answer for too long, and sets the timer for what comes next. What is held is refused. What the client
// has is unknown: the client goes on with these events; what it answers later is ignored, and they take up room until then.
func (p *publisher) expire() {
	now := time.Now()
	var late []*call
	var unsent []*record
	p.mu.Lock()
	for p.oldest != nil && !p.oldest.deadline.After(now) {
		c := p.oldest
		p.unlink(c)
		c.timedOut = true
		if c.held {
			unsent = append(unsent, p.unhold(c)...)
		} else {
			late = append(late, c)
		}
	}
	p.timer = nil
	if p.oldest != nil {
		p.timer = time.AfterFunc(p.oldest.deadline.Sub(now), p.expire)
	}
	p.mu.Unlock()
	if len(unsent) > 0 {
		p.refuse(unsent, p.late())
	}
	for _, c := range late {
		c.giveUp(fmt.Errorf("no answer within the DeliveryTimeout of %v", p.o.DeliveryTimeout))
	}
}

// reset forgets what an answered call was about, so that it can be another.
func (c *call) reset() {
	c.topic, c.done, c.records, c.doubts = "", nil, nil, 0
}

// giveUp reports as unknown what has no answer.
func (c *call) giveUp(err error) {
	for i := range c.records {
		if r := &c.records[i]; !r.told.Swap(true) {
			c.done(r.index, r.failure(leat.CodeUnknown, err))
		}
	}
}

// close refuses what waits or is held, and reports what the client has as unknown.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.line {
		w.signal()
	}
	var open []*call
	var unsent []*record
	for c := p.oldest; c != nil; c = p.oldest {
		p.unlink(c)
		c.timedOut = true
		if c.held {
			unsent = append(unsent, p.unhold(c)...)
		} else {
			open = append(open, c)
		}
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	p.refuse(unsent, closedError("publish", ""))
	for _, c := range open {
		c.giveUp(errors.New("the broker was closed before an answer came"))
	}
}

// oldestWait returns how long the oldest call has been waiting for an answer; 0 when there is none.
func (p *publisher) oldestWait(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oldest == nil {
		return 0
	}
	return now.Sub(p.oldest.deadline.Add(-p.o.DeliveryTimeout))
}
