package eventtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// grace is how much later than its deadline a Publish or a shutdown may end: the 250 ms that the
// rules allow, and what a machine that is busy with other tests may take beside the stalls that a
// stopwatch sees.
const grace = time.Second

// sent is an event that a case published.
type sent struct {
	event leat.Event
	key   string // the event's, or the transport's
	seq   int    // among all events of the ledger
	ok    bool
}

// handling is one call of a handler.
type handling struct {
	ctx        context.Context
	overlapped bool // another of its key began meanwhile, with this one's context alive
}

// ledger writes down what becomes of the events of a case: published, started, handled, poisoned.
// Its methods may be called from any goroutine, except those that end the case.
type ledger struct {
	r       *run
	topic   string
	ordered bool // the adapter keeps order by key

	mu       sync.Mutex
	sent     map[string]*sent     // by id
	starts   map[string]int       // by id: calls of a handler
	handled  map[string]int       // by id: calls that succeeded while the lease was held
	poisoned map[string]int       // by id
	last     map[string]int       // by key: seq of the newest that was handled for the first time
	busy     map[string]*handling // by key
	overlaps []overlap
}

// overlap is a handling during which another one of its key began, before it was known that its
// lease was lost, if it was: a broker that takes a key away tells the client later.
type overlap struct {
	ctx     context.Context
	key, id string
}

func newLedger(r *run, topic string) *ledger {
	l := &ledger{
		r: r, topic: topic, ordered: !r.subscription(topic, testGroup).Unordered,
		sent: map[string]*sent{}, starts: map[string]int{}, handled: map[string]int{}, poisoned: map[string]int{},
		last: map[string]int{}, busy: map[string]*handling{},
	}
	r.cleanup(l.checkOverlaps)
	return l
}

// checkOverlaps is called when all consumers have stopped, so that what leases became is known.
func (l *ledger) checkOverlaps() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.overlaps {
		if !leaseLost(o.ctx) {
			l.r.notef("another handler of key %s began while the one of %s ran and held its lease", o.key, o.id)
		}
	}
}

// event makes an event of key, which may be empty, with size random bytes that no text encoding
// leaves alone, and notes it.
func (l *ledger) event(key string, size int) leat.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(l.r.rand.Uint32())
	}
	seq := len(l.sent) + 1
	e, err := leat.NewEvent("test.whole.v1", &leat.EventOptions{
		ID: fmt.Sprintf("%s-%d", key, seq), Source: "/eventtest/" + l.topic, Subject: "an \"odd\" subject: ü", Key: key,
		DataContentType: "application/octet-stream", Extensions: map[string]any{"suite": "whole level"}, Data: data,
	})
	if err != nil {
		l.r.notef("making an event: %v", err)
	}
	l.sent[e.ID()] = &sent{event: e, key: key, seq: seq}
	return e
}

// keyed is event for a key of the transport, which the event itself does not have.
func (l *ledger) keyed(key string, size int) leat.Event {
	e := l.event("", size)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[e.ID()].key = key
	return e
}

// keyOf returns the key that the order of an event is kept by.
func (l *ledger) keyOf(e leat.Event) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.key(e)
}

// key is keyOf for who holds the lock.
func (l *ledger) key(e leat.Event) string {
	if s := l.sent[e.ID()]; s != nil {
		return s.key
	}
	return e.Key()
}

// events makes n events of 64 bytes; their keys are key-0 to key-(keys-1) in turn, or none where
// keys is 0.
func (l *ledger) events(n, keys int) []leat.Event {
	events := make([]leat.Event, n)
	for i := range events {
		key := ""
		if keys > 0 {
			key = fmt.Sprintf("key-%d", i%keys)
		}
		events[i] = l.event(key, 64)
	}
	return events
}

// shapes makes events whose bytes a careless adapter changes.
func (l *ledger) shapes() []leat.Event {
	const text = "text/plain; charset=utf-8"
	shapes := []leat.Event{
		l.event("", 0),
		l.event("", 0).WithData("application/json", []byte("{ \"a\": 1.0, \"a\" : \"\\u00fc\" }\n")),
		l.event("", 0).WithData("application/json", []byte("not JSON")),
		l.event("", 0).WithData(text, []byte("\ufeff\x00line\r\nline\n")),
		l.event("", 0).WithData(text, []byte("\xff\xfe no UTF-8")),
		l.event("", 0).WithData(text, []byte("")),
		l.event("a key with spaces, ü and \"quotes\"", 30<<10),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range shapes {
		l.sent[e.ID()].event = e
	}
	return shapes
}

// publish publishes events in one call and notes those that the broker confirmed.
func (l *ledger) publish(ctx context.Context, p *leat.Producer, events ...leat.Event) error {
	err := p.Publish(ctx, l.topic, events...)
	if err == nil {
		l.confirm(events...)
	}
	return err
}

// confirm notes that the broker confirmed events.
func (l *ledger) confirm(events ...leat.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.sent[e.ID()].ok = true
	}
}

// send publishes events in calls of 20, and fails the case when that does not work.
func (l *ledger) send(b leat.Broker, events ...leat.Event) {
	p := leat.NewProducer(b, nil)
	for some := range slices.Chunk(events, 20) {
		l.r.must(l.publish(l.r.ctx, p, some...), "publishing")
	}
}

// record returns h with everything that it does noted.
func (l *ledger) record(h leat.HandlerFunc) leat.HandlerFunc {
	return func(ctx context.Context, e leat.Event) (err error) {
		hd, ok := l.begin(ctx, e), false
		defer func() { l.end(hd, e, ok) }() // after a panic too
		err = h(ctx, e)
		ok = err == nil
		return err
	}
}

func (l *ledger) begin(ctx context.Context, e leat.Event) *handling {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starts[e.ID()]++
	s := l.sent[e.ID()]
	switch {
	case s == nil:
		l.r.notef("a handler got an event that was not published: %v", e)
	case !s.event.Equal(e) || s.event.DataString() != e.DataString():
		l.r.notef("a handler got %v with other attributes or bytes than were published", e)
	}
	hd := &handling{ctx: ctx}
	// A handler that begins with its lease lost already, as one may that was on its way then,
	// disturbs nobody.
	if key := l.key(e); key != "" && l.ordered && !leaseLost(ctx) {
		if other := l.busy[key]; other != nil && other.ctx.Err() == nil {
			other.overlapped = true
		}
		l.busy[key] = hd
	}
	return hd
}

// end notes the end of a handling. While its lease was held, none of its key may have begun; once
// the lease is lost, it does not count. One that succeeds after the ShutdownTimeout, but before Run
// gave it up, counts.
func (l *ledger) end(hd *handling, e leat.Event, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := l.key(e)
	if l.busy[key] == hd {
		delete(l.busy, key)
	}
	if leaseLost(hd.ctx) {
		return
	}
	if hd.overlapped && hd.ctx.Err() == nil {
		l.overlaps = append(l.overlaps, overlap{hd.ctx, key, e.ID()})
	}
	s := l.sent[e.ID()]
	if !ok || s == nil {
		return
	}
	if l.handled[e.ID()]++; l.handled[e.ID()] > 1 || key == "" || !l.ordered {
		return
	}
	if s.seq < l.last[key] {
		l.r.notef("order of key %s: event %d was handled for the first time after event %d", key, s.seq, l.last[key])
	}
	l.last[key] = max(l.last[key], s.seq)
}

// heads is how many of n events with so many keys can be at work or parked at once.
func (l *ledger) heads(n, keys int) int {
	if l.ordered {
		return keys
	}
	return n
}

func leaseLost(ctx context.Context) bool { return errors.Is(context.Cause(ctx), leat.ErrLeaseLost) }

// done reports whether every confirmed event is handled or poisoned.
func (l *ledger) done() bool { return len(l.missing()) == 0 }

func (l *ledger) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id, s := range l.sent {
		if s.ok && l.handled[id] == 0 && l.poisoned[id] == 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// await waits until every confirmed event is handled or poisoned, and says what is missing when
// that does not happen.
func (l *ledger) await() {
	defer func() {
		if ids := l.missing(); len(ids) > 0 {
			l.r.notef("%d confirmed events are neither handled nor in the poison queue: %s", len(ids), strings.Join(ids[:min(5, len(ids))], ", "))
		}
	}()
	l.r.eventually("every confirmed event is handled or in the poison queue", l.done)
}

// checkOnce notes events that were handled, or begun, more than once, which needs a reason: an
// error, a fault, a hard stop.
func (l *ledger) checkOnce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, n := range l.starts {
		if n > 1 {
			l.r.notef("the handler ran %d times for %s, without an error or a fault", n, id)
		}
	}
}

// checkPoisoned notes events that are in the poison queue, or not, against want, and those that are
// there more than once.
func (l *ledger) checkPoisoned(want ...leat.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	extra := maps.Clone(l.poisoned)
	for _, e := range want {
		if n := l.poisoned[e.ID()]; n != 1 {
			l.r.notef("%s is in the poison queue %d times, not once", e.ID(), n)
		}
		delete(extra, e.ID())
	}
	for id, n := range extra {
		l.r.notef("%s is in the poison queue (%d times), and nobody rejected it", id, n)
	}
}

// started returns how often handlers began the event.
func (l *ledger) started(e leat.Event) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.starts[e.ID()]
}

// begun returns how many handlings have begun.
func (l *ledger) begun() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, times := range l.starts {
		n += times
	}
	return n
}

// waiting returns how many events are neither handled nor poisoned.
func (l *ledger) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent) - len(l.handled) - len(l.poisoned)
}

// handledCount returns how many events were handled.
func (l *ledger) handledCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.handled)
}

// fakeQueue is a poison queue without a broker: the ledger. work, where it is set, may fail or wait
// first.
type fakeQueue struct {
	l    *ledger
	work func(ctx context.Context, p leat.Poisoned) error
}

// Topic implements leat.PoisonQueue.
func (fakeQueue) Topic(leat.Subscription) string { return "" }

// Poison implements leat.PoisonQueue.
func (q fakeQueue) Poison(ctx context.Context, p leat.Poisoned) error {
	if q.work != nil {
		if err := q.work(ctx, p); err != nil {
			return err
		}
	}
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	q.l.poisoned[p.Event.ID()]++
	return nil
}

// testGroup is the group of most cases.
const testGroup = "g"

// newLedger declares the group g of a new topic and returns a ledger for it.
func (r *run) newLedger(b leat.Broker) *ledger {
	topic := r.h.Topic()
	r.declare(b, topic, testGroup)
	return newLedger(r, topic)
}

// latch is a gate that opens once.
type latch struct {
	once sync.Once
	open chan struct{}
}

func newLatch() *latch { return &latch{open: make(chan struct{})} }

func (g *latch) release() { g.once.Do(func() { close(g.open) }) }

// hold waits until the gate opens or ctx ends.
func (g *latch) hold(ctx context.Context) error {
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// succeed is the simplest handler.
func succeed(context.Context, leat.Event) error { return nil }
