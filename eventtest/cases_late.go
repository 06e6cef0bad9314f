package eventtest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// lateCases are about what a client does late: when its leases have ended, or before the broker has
// answered.
func lateCases() []Case {
	return []Case{
		{
			Name: "isolated-late-settlements", Level: Raw, Needs: []Need{NeedIsolate},
			Rule:  "T4, L6: settlements of a client that was isolated, and arrive late, touch no newer delivery of the same events",
			check: checkIsolatedLateSettlements,
		},
		{
			Name: "isolated-acks-sent-once", Level: Raw, Needs: []Need{NeedIsolate, NeedCut},
			Rule: "L6: acks that were lost with a connection are not sent again by the next one when their lease has ended, " +
				"and touch no newer delivery of the same events",
			check: checkAcksSentOnce,
		},
		{
			Name: "isolated-end-awaits-settlements", Level: Raw, Needs: []Need{NeedIsolate},
			Rule: "L7: a stream that closes does not end a lease in order while the broker cannot confirm the settlements of it, " +
				"and what is acked under one that ended in order does not come again",
			check: checkEndAwaitsSettlements,
		},
		{
			Name: "isolated-close-takes-nothing", Level: Raw, Needs: []Need{NeedIsolate, NeedLeaseTime},
			Rule: "L4: a stream that has lost its leases, and closes while its client is isolated or afterwards, takes no lease from the " +
				"stream that has taken over",
			check: checkCloseTakesNothing,
		},
	}
}

// awaitLoss waits until the lease of every delivery has ended.
func (r *run) awaitLoss(ds []leat.Delivery) {
	r.eventually("the leases of the isolated client have ended", func() bool {
		for i := range ds {
			if !ds[i].Lease.Ended() {
				return false
			}
		}
		return true
	})
}

// holdAll attaches a holder to each lease of deliveries.
func holdAll(ds []leat.Delivery) map[*leat.Lease]*holder {
	holders := map[*leat.Lease]*holder{}
	for i := range ds {
		if l := ds[i].Lease; holders[l] == nil {
			holders[l] = hold(l)
		}
	}
	return holders
}

// comeAgain waits until all of the deliveries have come again, to any of the readers.
func (r *run) comeAgain(ds []leat.Delivery, why string, readers ...*reader) {
	got := map[string]bool{}
	missing := func() (names []leat.Delivery) {
		for _, d := range ds {
			if !got[nameOf(&d)] {
				names = append(names, d)
			}
		}
		return names
	}
	for watch := r.stopwatch(); len(missing()) > 0; {
		if watch.took() > r.opts.Patience {
			for _, rd := range readers {
				if h, ok := rd.stream.(leat.HealthReporter); ok && h.Health() != nil {
					r.notef("the health of a stream: %v", h.Health())
				}
			}
			r.failf("%s did not come again in %v (Options.Patience): %s", ids(missing()), r.opts.Patience, why)
		}
		for _, rd := range readers {
			for _, d := range rd.poll(r.brief()) {
				got[nameOf(&d)] = true
			}
		}
	}
}

// reconnect gives a stream time to connect again and to send what it has: until it says that it is
// well, or the second in which it has to dial (R2). Some are only well while somebody receives.
func (rd *reader) reconnect() {
	h, ok := rd.stream.(leat.HealthReporter)
	for watch := rd.r.stopwatch(); watch.took() < time.Second && (!ok || h.Health() != nil); {
		pause(rd.r.brief() / 4)
	}
	pause(rd.r.opts.Quiet)
}

func checkIsolatedLateSettlements(r *run) {
	events := r.spread("held", 8)
	one := r.holding(events...)
	old, other := one.held, r.open()
	r.isolate(one.b)
	one.settle(acked(), old[:3]...) // they wait in the connection, and may count when they arrive: the lease lasted
	two := r.join(other, one.topic, groupA)
	r.expectSet("in the stream that took over", two.take(len(events)), events...)
	r.awaitLoss(old)
	one.settle(acked(), old[3:6]...)
	one.settle(givenBack(), old[6:]...)
	r.rejoined(one.b)
	pause(r.opts.Quiet)
	two.close() // it gives back everything
	r.comeAgain(old[3:], "the stream that took over gave it back, and its former holder, whose lease had ended, settled it late",
		one.reader, r.join(other, one.topic, groupA))
}

// checkAcksSentOnce loses acks for certain: the client is isolated before it acks, and its
// connection is cut before that ends. When it connects again, their leases have ended. What moves
// back to it in order may count as settled, since it may remember that it has finished those
// events.
func checkAcksSentOnce(r *run) {
	events := r.spread("held", 8)
	one, other := r.holding(events...), r.open()
	r.isolate(one.b)
	one.settle(acked(), one.held...)
	pause(r.brief()) // the adapter writes them into its connection
	r.cut()
	r.awaitLoss(one.held)
	two := r.rejoin(other, one.topic, groupA)
	held := two.take(len(events))
	r.expectSet("in the stream that took over", held, events...)
	r.rejoined(one.b)
	r.mustEventuallyPublish(one.b, one.topic, "probe", 1)
	one.reconnect()
	held = slices.DeleteFunc(held, func(d leat.Delivery) bool { return d.Lease.Draining() })
	one.close()
	two.close() // it gives back everything
	r.comeAgain(held, "the stream that took over gave it back, and its former holder sent its acks again by another connection",
		r.join(other, one.topic, groupA))
}

func checkEndAwaitsSettlements(r *run) {
	one := r.holding(r.spread("held", 8)...)
	holders := holdAll(one.held)
	r.isolate(one.b)
	one.settle(acked(), one.held...)
	closed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
		defer cancel()
		closed <- one.stream.Close(ctx)
	}()
	pause(r.brief())
	for _, h := range holders {
		if n, cause := h.ended(); n > 0 && cause == nil {
			r.notef("a lease ended in order while the client was isolated, so the broker has confirmed none of its settlements")
		}
	}
	r.rejoined(one.b)
	if err := <-closed; err != nil {
		return // the time for the settlements is over, and says so
	}
	other := r.open()
	probe := r.event("probe", "probe")
	r.mustPublish(other, one.topic, probe)
	for _, d := range r.join(other, one.topic, groupA).until(probe.ID()) {
		for i := range one.held {
			if h := holders[one.held[i].Lease]; nameOf(&one.held[i]) == nameOf(&d) && !h.lost() {
				r.notef("%q was acked under a lease that ended in order, Close returned nil, and it came again", nameOf(&d))
			}
		}
	}
}

// checkCloseTakesNothing closes one stream while its client is isolated, and another one after
// that. What the first one sent may arrive when the isolation ends.
func checkCloseTakesNothing(r *run) {
	if r.tooLong() {
		return
	}
	away, back := r.holding(r.spread("held", 8)...), r.holding(r.spread("held", 8)...)
	other := r.open()
	var successors []*reader
	holders := map[*leat.Lease]*holder{}
	for _, h := range []*holding{away, back} {
		r.isolate(h.b)
		successors = append(successors, r.join(other, h.topic, groupA))
	}
	for i, h := range []*holding{away, back} {
		maps.Copy(holders, holdAll(successors[i].take(len(h.held))))
		r.awaitLoss(h.held)
	}
	away.closeBy(r.brief())
	r.rejoined(away.b)
	r.rejoined(back.b)
	back.reconnect()
	back.closeBy(r.opts.Patience)
	for watch := r.stopwatch(); watch.took() < lossBound+r.opts.Quiet; pause(r.brief() / 4) {
		for _, h := range holders {
			h.release() // a key may move in order to the stream that is back, for a moment
			if _, cause := h.ended(); cause != nil {
				r.failf("a stream took over from an isolated client, which closed its streams later, and the lease of the successor "+
					"was lost: %v", cause)
			}
		}
	}
}

// closeBy closes a stream, whatever that returns, within a time.
func (rd *reader) closeBy(d time.Duration) {
	ctx, cancel := context.WithTimeout(rd.r.ctx, d)
	defer cancel()
	_ = rd.stream.Close(ctx)
}
