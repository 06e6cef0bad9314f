package eventtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// reconnectCases are about a stream whose connection is lost and comes back.
func reconnectCases() []Case {
	return []Case{
		{
			Name: "acks-across-reconnect", Level: Raw, Needs: []Need{NeedCut},
			Rule: "T1: an ack under a lease that does not end is stored although connections are lost, before Close returns nil; one that had " +
				"time to be stored counts in any case; what is not acked comes again",
			check: checkAcksAcrossReconnect,
		},
		{
			Name: "reconnect-one-path", Level: Raw, Needs: []Need{NeedCut},
			Rule: "R2, R5, L5: after lost connections a stream receives by one path: nothing twice while it is held, no more than MaxInFlight, " +
				"and nothing goes where nobody receives",
			check: checkReconnectOnePath,
		},
	}
}

// cut cuts all connections.
func (r *run) cut() {
	cutter, _ := r.h.(Cutter)
	r.must(cutter.Cut(r.ctx), "cutting connections")
}

// ackBook knows what was acked, under which lease, and whether the ack had time to be stored.
type ackBook struct {
	r       *run
	leases  map[*leat.Lease]*holder
	acks    map[string]*leat.Lease
	settled map[string]bool // had time to be stored
}

func newAckBook(r *run) *ackBook {
	return &ackBook{r: r, leases: map[*leat.Lease]*holder{}, acks: map[string]*leat.Lease{}, settled: map[string]bool{}}
}

// got notes deliveries, and those among them that were acked for good.
func (a *ackBook) got(ds []leat.Delivery) {
	for i := range ds {
		id := nameOf(&ds[i])
		if a.leases[ds[i].Lease] == nil {
			a.leases[ds[i].Lease] = hold(ds[i].Lease)
		}
		lease := a.acks[id]
		switch {
		case a.settled[id]:
			a.r.failf("%q was acked %v before connections were lost, and came again", id, a.r.opts.Quiet)
		case lease == nil:
		case !a.lost(lease):
			a.r.failf("%q was acked under a lease that was not lost, and came again after lost connections", id)
		}
	}
}

// lost reports whether a lease was taken away.
func (a *ackBook) lost(l *leat.Lease) bool {
	_, cause := a.leases[l].ended()
	return cause != nil
}

// ack acks a delivery, unless its lease has ended already. It may end at the same moment.
func (a *ackBook) ack(rd *reader, ds ...leat.Delivery) {
	for i := range ds {
		if !ds[i].Lease.Ended() {
			a.acks[nameOf(&ds[i])] = ds[i].Lease
		}
	}
	rd.settle(acked(), ds...)
}

// stored waits until every ack so far is stored, and notes those whose leases were not lost until
// then.
func (a *ackBook) stored() {
	pause(a.r.opts.Quiet)
	for id, lease := range a.acks {
		if !a.lost(lease) && !lease.Ended() {
			a.settled[id] = true
		}
	}
}

// missing reports how many of the events are not acked under a lease that lasts, or have come again
// since.
func (a *ackBook) missing(events []leat.Event) (n int) {
	for _, e := range events {
		if lease := a.acks[e.ID()]; lease == nil || a.lost(lease) && !a.settled[e.ID()] {
			n++
		}
	}
	return n
}

func checkAcksAcrossReconnect(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	const cuts, each = 6, 12
	events := r.spread("acked", (cuts+2)*each)
	r.mustPublish(b, topic, events...)
	book := newAckBook(r)
	for i := range cuts {
		got := rd.take(each)
		book.got(got)
		book.ack(rd, got[:each/3]...)
		if i%3 == 0 {
			book.stored()
		}
		book.ack(rd, got[each/3:2*each/3]...)
		r.cut()
		pause(time.Duration(r.rand.IntN(i+1)) * 4 * time.Millisecond)
		book.ack(rd, got[2*each/3:]...)
	}
	book.rest(rd, events)
	rd.close()
	book.checkAfterClose(b, topic, events)
}

// rest receives and acks until every event is acked under a lease that lasts.
func (a *ackBook) rest(rd *reader, events []leat.Event) {
	quiet := 0
	a.r.eventually("every event is acked", func() bool {
		some := rd.poll(a.r.brief())
		a.got(some)
		a.ack(rd, some...)
		if quiet++; len(some) > 0 {
			quiet = 0
		}
		// An ack whose lease was lost may have been stored before.
		return a.missing(events) == 0 || quiet > 4 && a.allAcked(events) && a.nothingHeld(rd.sub.Topic)
	})
}

func (a *ackBook) allAcked(events []leat.Event) bool {
	return !slices.ContainsFunc(events, func(e leat.Event) bool { return a.acks[e.ID()] == nil })
}

// nothingHeld asks the broker, where that can be asked.
func (a *ackBook) nothingHeld(topic string) bool {
	_, ok := a.r.h.(Holder)
	return !ok || a.r.held(topic) == 0
}

// checkAfterClose looks whether something comes again once the stream is closed, also when leases
// have run out, where the broker has some.
func (a *ackBook) checkAfterClose(b leat.Broker, topic string, events []leat.Event) {
	wait := a.r.opts.Quiet
	if t, ok := a.r.h.(LeaseTimer); ok && t.LeasePeriod() < a.r.opts.CaseTimeout/4 {
		wait += t.LeasePeriod()
	}
	if n := 0; !a.nothingHeld(topic) {
		a.r.eventually("the broker waits for nothing after Close", func() bool {
			n = a.r.held(topic)
			return n == 0
		})
	}
	other := a.r.join(b, topic, groupA)
	again := other.poll(wait)
	for i := range again {
		id := nameOf(&again[i])
		if lease := a.acks[id]; lease != nil && (a.settled[id] || !a.lost(lease)) {
			a.r.notef("%q was acked under a lease that was not lost, Close returned nil, and it came again", id)
		}
	}
	if n := a.missing(events); n > 0 && len(again) < n && !a.allAcked(events) {
		a.r.notef("%d events are not acked, and %d came again", n, len(again))
	}
}

// cutWhileReceiving cuts all connections while a Receive waits, and settles what comes meanwhile.
func (rd *reader) cutWhileReceiving() {
	var cutting sync.WaitGroup
	cutting.Go(func() {
		pause(rd.r.brief() / 4)
		rd.r.cut()
	})
	ctx, cancel := context.WithTimeout(rd.r.ctx, rd.r.brief())
	defer cancel()
	for ctx.Err() == nil {
		ds, err := rd.receive(ctx, 1)
		if err != nil && ctx.Err() == nil {
			rd.r.failf("a Receive during which connections were lost: %v", err)
		}
		rd.settle(acked(), ds...)
	}
	cutting.Wait()
}

// reconnected publishes until that works and one of those events has come, and settles all that
// came.
func (rd *reader) reconnected(b leat.Broker) {
	probe := rd.r.mustEventuallyPublish(b, rd.sub.Topic, "probe", 1)[0]
	rd.r.eventually("events come again after connections were lost", func() bool {
		some := rd.poll(rd.r.brief())
		rd.settle(acked(), some...)
		return slices.ContainsFunc(some, func(d leat.Delivery) bool { return nameOf(&d) == probe.ID() })
	})
}

func checkReconnectOnePath(r *run) {
	b, topic := r.start(groupA)
	const limit, cuts = 20, 4
	sub := r.subscription(topic, groupA)
	sub.MaxInFlight = limit
	rd := r.subscribe(b, sub)
	slow := 0
	for range cuts {
		rd.cutWhileReceiving()
		rd.reconnected(b)
		longest := rd.onePath(r.mustEventuallyPublish(b, topic, "path", 2*limit))
		if longest > r.handoverBound() {
			slow++
		}
		if slow > 1 { // a busy machine may account for one
			r.failf("after connections were lost, twice, a new event came only after more than %v", r.handoverBound())
		}
	}
}

// onePath receives the events with as many of them unsettled as allowed. It returns the longest
// that one let wait.
func (rd *reader) onePath(events []leat.Event) (longest time.Duration) {
	r := rd.r
	held, seen := map[string]*leat.Lease{}, map[string]bool{}
	note := func(ds []leat.Delivery) (mine []leat.Delivery) {
		for _, d := range ds {
			id := nameOf(&d)
			if l := held[id]; l != nil && !l.Ended() && !d.Lease.Ended() {
				r.failf("%q came again while the stream holds it, under a lease that has not ended", id)
			}
			if held[id] = d.Lease; strings.HasPrefix(id, "path-") {
				seen[id] = true
			}
			mine = append(mine, d)
		}
		return mine
	}
	left := func() int {
		return len(slices.DeleteFunc(slices.Clone(events), func(e leat.Event) bool { return seen[e.ID()] }))
	}
	for n := left(); n > 0; n = left() {
		var mine []leat.Delivery
		for len(mine) < min(n, rd.sub.MaxInFlight) {
			ds, waited := rd.takeAfter(1, r.stopwatch())
			mine = append(mine, note(ds)...)
			longest = max(longest, waited)
		}
		mine = append(mine, note(rd.poll(r.brief()))...)
		live := slices.DeleteFunc(slices.Clone(mine), func(d leat.Delivery) bool { return d.Lease.Ended() })
		if len(live) > rd.sub.MaxInFlight {
			r.failf("%d deliveries are unsettled after a lost connection; MaxInFlight is %d", len(live), rd.sub.MaxInFlight)
		}
		rd.settle(acked(), mine...)
		clear(held)
	}
	return longest
}
