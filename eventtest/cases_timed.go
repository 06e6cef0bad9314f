package eventtest

import (
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// timedCases are about leases that last for a term, and about clients that the broker does not hear
// of.
func timedCases() []Case {
	return []Case{
		{
			Name: "lease-is-extended", Level: Raw, Needs: []Need{NeedLeaseTime},
			Rule:  "L1: a delivery that is held for longer than a lease period stays with its stream, and its ack counts",
			check: checkLeaseExtended,
		},
		{
			Name: "isolated-lease-ends", Level: Raw, Needs: []Need{NeedIsolate, NeedLeaseTime},
			Rule: "L2, L4: the lease of a client that is isolated ends within a lease period, by the client's own clock; after that its " +
				"deliveries come again, each once",
			check: checkIsolatedLeaseEnds,
		},
		{
			Name: "isolated-lease-ends-first", Level: Raw, Needs: []Need{NeedIsolate, NeedLeaseTime},
			Rule:  "L3: the lease of a client that is isolated has ended before another stream gets what it holds",
			check: checkIsolatedLeaseEndsFirst,
		},
		{
			Name: "held-comes-once", Level: Raw, Needs: []Need{NeedExpire},
			Rule:  "L5: what the broker delivers again to the stream that still holds it is not delivered twice, and one settlement of it counts",
			check: checkHeldComesOnce,
		},
	}
}

// leasePeriod is how long the broker's leases last; 0 where that is not known.
func (r *run) leasePeriod() time.Duration {
	if t, ok := r.h.(LeaseTimer); ok {
		return t.LeasePeriod()
	}
	return 0
}

// tooLong skips the case where leases last so long that it would not end in time.
func (r *run) tooLong() bool {
	if r.leasePeriod() < r.opts.CaseTimeout/6 {
		return false
	}
	r.skipped = "a lease lasts longer than a case may take"
	return true
}

// isolate isolates an instance of the adapter until the case is over or rejoin is called.
func (r *run) isolate(b leat.Broker) {
	i, _ := r.h.(Isolator)
	r.must(i.Isolate(r.ctx, b), "isolating a client")
	r.cleanup(func() { r.rejoined(b) })
}

// rejoined ends the isolation of an instance.
func (r *run) rejoined(b leat.Broker) {
	i, _ := r.h.(Isolator)
	if err := i.Rejoin(r.ctx, b); err != nil {
		r.notef("ending the isolation of a client: %v", err)
	}
}

// witness notes in one order when leases ended and what came to other streams.
type witness struct {
	r *run

	mu    sync.Mutex
	ended map[*leat.Lease]time.Time
}

// witness attaches to the leases of deliveries.
func (r *run) witness(ds []leat.Delivery) *witness {
	w := &witness{r: r, ended: map[*leat.Lease]time.Time{}}
	seen := map[*leat.Lease]bool{}
	for i := range ds {
		l := ds[i].Lease
		if seen[l] {
			continue
		}
		seen[l] = true
		holdUntil(l, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended[l] = time.Now()
		})
	}
	return w
}

// endOf returns when a lease ended, zero when it has not.
func (w *witness) endOf(l *leat.Lease) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended[l]
}

// unended returns how many of the deliveries have a lease that has not ended.
func (w *witness) unended(ds []leat.Delivery) (n int) {
	for i := range ds {
		if w.endOf(ds[i].Lease).IsZero() {
			n++
		}
	}
	return n
}

// nothingLeft is checked when all other streams of the group are closed: a new one gets none of the
// events.
func (r *run) nothingLeft(b leat.Broker, topic, what string) {
	probe := r.event("probe", "probe")
	r.mustPublish(b, topic, probe)
	rd := r.join(b, topic, groupA)
	if again := rd.until("probe"); len(again) > 0 {
		r.notef("%s: %s came again", what, ids(again))
	}
}

// holding is a stream of a fresh topic that holds every event of it.
type holding struct {
	*reader

	b     leat.Broker
	topic string
	held  []leat.Delivery
}

// holding publishes events to a fresh topic, and returns a stream that has received them.
func (r *run) holding(events ...leat.Event) *holding {
	b, topic := r.start(groupA)
	h := &holding{reader: r.join(b, topic, groupA), b: b, topic: topic}
	r.mustPublish(b, topic, events...)
	h.held = h.take(len(events))
	return h
}

// mixed returns events of several keys, and one without a key.
func (r *run) mixed(n int) []leat.Event { return append(r.spread("held", n), r.event("loose", "")) }

func checkLeaseExtended(r *run) {
	if r.tooLong() {
		return
	}
	h := r.holding(r.mixed(4)...)
	held := h.held
	for watch := r.stopwatch(); watch.took() < r.leasePeriod()*5/4; {
		if again := h.poll(r.brief()); len(again) > 0 {
			r.failf("%s came again while the stream holds it, after %v of a lease period of %v", ids(again),
				watch.took().Round(time.Millisecond), r.leasePeriod())
		}
		for i := range held {
			if held[i].Lease.Ended() {
				r.failf("the lease of %q ended after %v, with a lease period of %v and nothing to end it", nameOf(&held[i]),
					watch.took().Round(time.Millisecond), r.leasePeriod())
			}
		}
	}
	h.settle(acked(), held...)
	h.close()
	r.nothingLeft(h.b, h.topic, "acked under a lease that was held for longer than a period")
}

func checkIsolatedLeaseEnds(r *run) {
	if r.tooLong() {
		return
	}
	events := r.mixed(4)
	h := r.holding(events...)
	old := h.held
	w := r.witness(old)
	watch := r.stopwatch()
	r.isolate(h.b)
	for w.unended(old) > 0 {
		if watch.took() > r.leasePeriod() {
			r.failf("the client was isolated %v ago, the broker's leases last %v, and %d of %d deliveries have a lease that has not ended",
				watch.took().Round(time.Millisecond), r.leasePeriod(), w.unended(old), len(old))
		}
		pause(time.Millisecond)
	}
	if left := r.leasePeriod() - watch.took(); left > 0 {
		pause(left + r.brief()) // the broker's term is over as well
	}
	r.rejoined(h.b)
	again := h.take(len(events))
	again = append(again, h.poll(r.opts.Quiet)...)
	r.expectSet("after the isolation", again, events...)
	for i := range again {
		if again[i].Lease.Ended() {
			r.notef("%q came again under a lease that has ended", nameOf(&again[i]))
		}
	}
}

func checkIsolatedLeaseEndsFirst(r *run) {
	if r.tooLong() {
		return
	}
	one := r.holding(r.spread("held", 8)...)
	w := r.witness(one.held)
	leases := map[string]*leat.Lease{}
	for i := range one.held {
		leases[nameOf(&one.held[i])] = one.held[i].Lease
	}
	other := r.open()
	r.isolate(one.b)
	two := r.join(other, one.topic, groupA)
	for range one.held {
		d := two.take(1)[0]
		if w.endOf(leases[nameOf(&d)]).IsZero() {
			r.failf("%q came to another stream, and its lease has not ended in the client that is isolated", nameOf(&d))
		}
	}
}

func checkHeldComesOnce(r *run) {
	expirer, _ := r.h.(Expirer)
	h := r.holding(r.mixed(6)...)
	live := map[string]leat.Delivery{}
	note := func(ds []leat.Delivery) {
		for _, d := range ds {
			id := nameOf(&d)
			if old, ok := live[id]; ok && !old.Lease.Ended() && !d.Lease.Ended() {
				r.failf("%q came again while the stream holds it, under a lease that has not ended", id)
			}
			live[id] = d
		}
	}
	note(h.held)
	for range 2 {
		r.must(expirer.Expire(r.ctx, h.topic, groupA), "expiring")
		note(h.poll(r.opts.Quiet))
	}
	r.eventually("each event is held under a lease that lasts", func() bool {
		note(h.poll(r.brief()))
		for _, d := range live {
			if d.Lease.Ended() {
				return false
			}
		}
		return true
	})
	note(h.poll(r.opts.Quiet)) // the broker may send again what it has sent just now
	lost := &losses{causes: map[*leat.Lease]error{}}
	for _, d := range live {
		lost.watch(d.Lease)
		h.settle(acked(), d)
	}
	h.close()
	rd := r.join(h.b, h.topic, groupA)
	r.mustPublish(h.b, h.topic, r.event("after", "after"))
	for _, d := range rd.until("after") {
		// A stream that hears of an expiry only when it settles has lost the lease.
		if id := nameOf(&d); lost.cause(live[id].Lease) == nil {
			r.failf("%q came again; it was held, expired, and acked once under a lease that was not lost", id)
		}
	}
}

// losses notes why leases ended.
type losses struct {
	mu     sync.Mutex
	causes map[*leat.Lease]error // nil while a lease lasts, and when it ended in order
}

// watch attaches to a lease that it does not know. It does not delay a drain.
func (l *losses) watch(lease *leat.Lease) {
	l.mu.Lock()
	_, known := l.causes[lease]
	l.mu.Unlock()
	if known {
		return
	}
	l.note(lease, nil)
	lease.Attach(func(release func()) { release() }, func(cause error) { l.note(lease, cause) })
}

func (l *losses) note(lease *leat.Lease, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.causes[lease] = cause
}

// cause returns why a lease was lost, nil if it was not.
func (l *losses) cause(lease *leat.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.causes[lease]
}
