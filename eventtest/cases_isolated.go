package eventtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// isolatedCases are about who takes over from a client that is isolated, or has crashed.
func isolatedCases() []Case {
	return []Case{
		{
			Name: "order-after-crash", Level: Raw, Needs: []Need{NeedDrop, NeedOrder},
			Rule: "R3: after a client has crashed, with a full window or a half-empty one, its successor gets the events of a key in order: " +
				"those that the dead one had not settled, then newer ones",
			check: checkOrderAfterCrash,
		},
		{
			Name: "whole-isolated-holder", Level: Whole, Needs: []Need{NeedIsolate, NeedLeaseTime, NeedOrder},
			Rule: "L2, L3: when a consumer is isolated for longer than its lease, another one handles its keys, in order, and no handler of a key " +
				"begins while one of the isolated consumer holds its lease",
			check: checkIsolatedHolder,
		},
	}
}

// crash is one topic of which a client has crashed.
type crash struct {
	r     *run
	sub   leat.Subscription
	seqs  map[string]int // of events, within their key
	acked map[string]bool
	sent  int // of each key

	mu   sync.Mutex
	last map[string]leat.Delivery // by key, of the successor
	seen map[string]bool
}

const (
	crashRounds = 10 // topics
	crashKeys   = 6
	crashWindow = 12 // of the client that crashes
)

// more makes n further events of each key.
func (c *crash) more(n int) []leat.Event {
	events := make([]leat.Event, 0, n*crashKeys)
	for range n {
		c.sent++
		for key := range crashKeys {
			e := c.r.event(fmt.Sprintf("crash-%d-%d", key, c.sent), fmt.Sprintf("key-%d", key))
			c.seqs[e.ID()] = c.sent
			events = append(events, e)
		}
	}
	return events
}

// note checks that a delivery of the successor is in order.
func (c *crash) note(d *leat.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, key := d.Event.ID(), d.Event.Key()
	before, ok := c.last[key]
	switch {
	case !ok && c.seqs[id] > 1 && !c.settledBelow(id):
		c.r.notef("%q is the first of %s that came to the successor, before what the crashed client had not settled", id, key)
	case ok && c.seqs[id] <= c.seqs[before.Event.ID()] && !before.Lease.Ended():
		c.r.notef("%q came to the successor after %q", id, before.Event.ID())
	}
	c.last[key], c.seen[id] = *d, true
}

// settledBelow reports whether the crashed client acked all events of the key before this one.
func (c *crash) settledBelow(id string) bool {
	for other, seq := range c.seqs {
		var key, otherKey, n int
		_, _ = fmt.Sscanf(id, "crash-%d-%d", &key, &n)
		_, _ = fmt.Sscanf(other, "crash-%d-%d", &otherKey, &n)
		if key == otherKey && seq < c.seqs[id] && !c.acked[other] {
			return false
		}
	}
	return true
}

// left returns how many events neither came to the successor nor were acked before.
func (c *crash) left() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.seqs {
		if !c.seen[id] && !c.acked[id] {
			n++
		}
	}
	return n
}

func checkOrderAfterCrash(r *run) {
	dropper, _ := r.h.(Dropper)
	doomed, b := r.openToClose(), r.open()
	crashes := make([]*crash, 0, crashRounds)
	subs := make([]leat.Subscription, 0, crashRounds)
	for range crashRounds {
		sub := r.subscription(r.h.Topic(), groupA)
		sub.MaxInFlight = crashWindow
		subs = append(subs, sub)
	}
	r.declareAll(b, subs)
	for i, sub := range subs {
		before, after := 4, 2
		if i%2 == 1 {
			before, after = 1, 0 // the window has room, so that a broker gives the successor newer events at once
		}
		crashes = append(crashes, r.fillWindow(doomed, b, sub, before, after))
	}
	pause(r.brief()) // most acks are stored
	r.must(dropper.Drop(r.ctx, doomed), "making a client vanish")
	var wg sync.WaitGroup
	wg.Go(func() { _ = doomed.Close() }) // which reaches nobody
	for _, c := range crashes {
		newest := c.more(2)
		wg.Go(func() { c.takeOver(b, newest) })
	}
	wg.Wait()
}

// declareAll is declare for many, which an adapter may do at once.
func (r *run) declareAll(b leat.Broker, subs []leat.Subscription) {
	if _, declares := b.(leat.Declarer); declares {
		r.must(leat.Declare(r.ctx, b, subs...), "declaring groups")
		return
	}
	for _, sub := range subs {
		r.declare(b, sub.Topic, sub.Group)
	}
}

// fillWindow lets a stream of the client that is to crash hold what it may of so many events of
// each key, with some of it acked, and publishes more of each key afterwards.
func (r *run) fillWindow(doomed, b leat.Broker, sub leat.Subscription, before, after int) *crash {
	c := &crash{
		r: r, sub: sub, seqs: map[string]int{}, acked: map[string]bool{}, last: map[string]leat.Delivery{}, seen: map[string]bool{},
	}
	events := c.more(before)
	r.mustPublish(b, sub.Topic, events...)
	rd := r.subscribe(doomed, sub)
	window := rd.take(min(len(events), crashWindow, ofKey(r.h)))
	if r.withholds(crashWindow) { // what is withheld may use up MaxInFlight
		window = append(window, rd.poll(r.brief())...)
	}
	firsts := map[string]bool{}
	for _, d := range window {
		if key := d.Event.Key(); !firsts[key] && len(firsts) < crashKeys/2 {
			firsts[key] = true
			c.acked[d.Event.ID()] = true
			rd.settle(acked(), d)
		}
	}
	r.mustPublish(b, sub.Topic, c.more(after)...)
	return c
}

// takeOver receives as the successor, while newer events are published, and acks at once.
func (c *crash) takeOver(b leat.Broker, newest []leat.Event) {
	ctx, cancel := context.WithTimeout(c.r.ctx, c.r.opts.Patience+c.r.leasePeriod())
	defer cancel()
	s, err := b.Subscribe(ctx, c.sub.WithDefaults())
	if err != nil {
		c.r.notef("subscribing as the successor: %v", err)
		return
	}
	o := newOutcomes(len(newest))
	b.Publish(ctx, c.sub.Topic, newest, o.done)
	into := make([]leat.Delivery, crashWindow)
	for c.left() > 0 {
		n, err := s.Receive(ctx, into)
		if err != nil {
			c.r.notef("%d events of a crashed client's topic did not come to its successor; Receive: %v", c.left(), err)
			break
		}
		for i := range n {
			c.note(&into[i])
		}
		for i := range n {
			s.Settle(&into[i], acked())
		}
	}
	closing, stop := context.WithTimeout(context.Background(), c.r.opts.Patience)
	defer stop()
	if err := s.Close(closing); err != nil {
		c.r.notef("closing the successor: %v", err)
	}
}

// ofKey returns how many deliveries of one key may be had before the first is settled.
func ofKey(h Harness) int {
	if n := paceOf(h).OfKey; n > 0 {
		return n
	}
	return crashWindow
}

// guardians knows which handlers of a consumer hold which keys.
type guardians struct {
	mu    sync.Mutex
	holds map[string]context.Context
}

func (g *guardians) begin(ctx context.Context, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds[key] = ctx //nolint:fatcontext // it is one of many, and the parent of none
}

// holding returns whether a handler of the key runs whose context is alive.
func (g *guardians) holding(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ctx := g.holds[key]
	return ctx != nil && ctx.Err() == nil
}

func checkIsolatedHolder(r *run) {
	if r.tooLong() {
		return
	}
	const keys, each = 8, 5
	first, second := r.open(), r.open()
	l := r.newLedger(first)
	g := &guardians{holds: map[string]context.Context{}}
	var free atomic.Bool
	var stuck atomic.Int64
	one := l.serve(first, func(ctx context.Context, e leat.Event) error {
		if free.Load() {
			return nil
		}
		g.begin(ctx, e.Key())
		stuck.Add(1)
		<-ctx.Done() // and says that all is well, which comes too late
		return nil
	}, &leat.ConsumerOptions{Concurrency: keys})
	l.send(first, l.events(keys*each, keys)...)
	r.eventually("a handler of each key is at work", func() bool { return stuck.Load() >= keys })
	r.isolate(first)
	two := l.serve(second, func(_ context.Context, e leat.Event) error {
		if g.holding(e.Key()) {
			r.notef("a handler of %s began while one of the isolated consumer ran and held its lease", e.Key())
		}
		pause(time.Millisecond)
		return nil
	}, &leat.ConsumerOptions{Concurrency: keys})
	l.send(second, l.events(keys*each, keys)...)
	l.await()
	free.Store(true)
	r.rejoined(first)
	l.send(second, l.events(keys*each, keys)...)
	l.await()
	one.stopClean()
	two.stopClean()
}
