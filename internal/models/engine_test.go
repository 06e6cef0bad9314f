package models

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"pgregory.net/rapid" //nolint:depguard // this module exists to keep it out of the others
)

// TestDispatcher runs a Consumer against the model of the lanes: events of a few keys, handlers
// that end in every way and order, leases that are drained and lost, pauses, a poison queue that
// fails, and a drain at the end.
func TestDispatcher(t *testing.T) { checkDispatcher(t, false) }

// TestDispatcherOfBatches holds handlers of batches against the same model, with batches of one: to
// everything but its own function, an event in a batch is one in a handler. No batch asks for a
// pause, because another may begin between its end and the pause, which the model cannot tell.
func TestDispatcherOfBatches(t *testing.T) { checkDispatcher(t, true) }

func checkDispatcher(t *testing.T, batches bool) {
	check(t, func(rt *rapid.T) {
		caps := leat.Capabilities{Order: leat.OrderPerGroup, DeliveryCount: true}
		caps.Watermark = rapid.Bool().Draw(rt, "watermark")
		caps.NativeReject = true
		poison := poisonMode(rapid.IntRange(0, 2).Draw(rt, "poison mode"))
		if poison == poisonNowhere {
			caps.NativeReject = false
		}
		caps.LongestDelay = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(rt, "longest delay")
		caps.LongestHold = rapid.SampledFrom([]time.Duration{0, 2 * time.Minute}).Draw(rt, "longest hold")
		w := newWorld(rapid.IntRange(1, 4).Draw(rt, "concurrency"), rapid.IntRange(1, 10).Draw(rt, "in flight"), caps, poison, batches)
		defer w.close()
		outcomes := []string{"ok", "ok", "ok", "error", "panic", "retry", "reject", "pause"}
		if batches {
			outcomes = outcomes[:7]
		}
		finish := func(rt *rapid.T) {
			w.end(rt, rapid.SampledFrom(outcomes).Draw(rt, "outcome"))
		}
		repeat(rt, w.compare, []action{
			{"deliver", w.deliver}, {"finish", finish}, {"deliver", w.deliver}, {"finish", finish}, {"wait", w.wait},
			{"drain lease", w.drainLease}, {"end lease", w.endLease}, {"resume", w.resume}, {"pause", w.pause},
			{"turn the poison queue", w.turnPoison}, {"stop", w.stop}, {"wait", w.wait},
		})
		w.wind(rt)
	})
}

// TestPark looks at nothing but time: handlers only ask for retries, which must begin exactly when
// they are due, with a slot free for each, in order within a lane, and without holding up another.
func TestPark(t *testing.T) {
	check(t, func(rt *rapid.T) {
		w := newWorld(16, 16, leat.Capabilities{Order: leat.OrderPerGroup, DeliveryCount: true}, poisonNowhere, false)
		defer w.close()
		end := func(kind string) func(rt *rapid.T) { return func(rt *rapid.T) { w.end(rt, kind) } }
		repeat(rt, w.compare, []action{
			{"deliver", w.deliver}, {"retry", end("retry")}, {"wait", w.wait}, {"retry", end("retry")}, {"fail", end("error")},
			{"finish", end("ok")}, {"hold", end("pause")}, {"resume", w.resume}, {"pause", w.pause},
		})
		w.wind(rt)
	})
}

var modelKeys = []string{"", "", "a", "b", "c", "d"}

// deliver lets the broker send a few events, as one that keeps order may: of a key the earliest
// that it has, and what came back only when nothing of the key is out.
func (w *world) deliver(rt *rapid.T) {
	if w.stopping {
		rt.Skip("stopping")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := 0
	for range rapid.IntRange(1, 5).Draw(rt, "events") {
		key := rapid.SampledFrom(modelKeys).Draw(rt, "key")
		e := w.nextEvent(key)
		if e == nil {
			continue
		}
		slot := e.n % 2
		if key != "" {
			slot = int(key[0]) % 2
		}
		if w.leases[slot].draining {
			continue
		}
		e.deliveries++
		d := &modelDelivery{n: len(w.all) + 1, event: e, lease: w.leases[slot]}
		e.now = d
		w.all = append(w.all, d)
		w.stream = append(w.stream, d)
		sent++
	}
	if sent == 0 {
		rt.Skip("nothing to deliver")
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// nextEvent returns the event of a key that may be delivered next, a new one if need be; nil while
// none may.
func (w *world) nextEvent(key string) *modelEvent {
	out := false // something of the key is
	for _, e := range w.events {
		out = out || e.key == key && e.now != nil
	}
	for _, e := range w.events {
		if e.key != key || e.done || e.now != nil || key == "" && w.runs(e) {
			continue
		}
		if key != "" && e.deliveries > 0 && out {
			return nil
		}
		return e
	}
	e := &modelEvent{n: len(w.events), key: key}
	made, err := leat.NewEvent("t", &leat.EventOptions{ID: fmt.Sprint(e.n), Source: "/s", Key: key})
	if err != nil {
		w.breaks("%w", err)
	}
	e.event = made
	w.events = append(w.events, e)
	return e
}

// runs reports whether a handler of e still runs, under a lease that was lost.
func (w *world) runs(e *modelEvent) bool {
	return slices.ContainsFunc(w.inFlight, func(d *modelDelivery) bool { return d.event == e })
}

var delays = []time.Duration{0, 1, time.Millisecond, 100 * time.Millisecond, time.Second, 59 * time.Second, time.Minute, 3 * time.Minute}

// end lets one of the running handlers return.
func (w *world) end(rt *rapid.T, kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var candidates []*modelDelivery
	for _, d := range w.inFlight {
		if d.state == running {
			candidates = append(candidates, d)
		}
	}
	if len(candidates) == 0 {
		rt.Skip("no handler runs")
	}
	d := candidates[rapid.IntRange(0, len(candidates)-1).Draw(rt, "handler")]
	rt.Logf("the handler of %v ends", d)
	o := handlerOutcome{kind: kind}
	switch kind {
	case "retry":
		o.delay = rapid.SampledFrom(delays).Draw(rt, "delay")
	case "pause":
		o.delay = rapid.SampledFrom(delays[2:6]).Draw(rt, "delay")
	}
	w.finish(d, o)
	d.outcomes <- o
	d.outcomes = nil
}

func (w *world) drawLease(rt *rapid.T) *modelLease {
	return w.leases[rapid.IntRange(0, 1).Draw(rt, "lease")]
}

func (w *world) drainLease(rt *rapid.T) {
	l := w.drawLease(rt)
	if l.draining || w.stopping {
		rt.Skip("draining already")
	}
	w.mu.Lock()
	w.refresh()
	l.draining = true
	w.giveBackWaiting(l)
	w.mu.Unlock()
	l.lease.Drain(func() { w.released(l) })
}

// endLease loses a lease, or ends it in order when its drain is over. The next one of its slot
// begins at once.
func (w *world) endLease(rt *rapid.T) {
	l := w.drawLease(rt)
	var cause error
	w.mu.Lock()
	w.refresh()
	if !l.wantReleased {
		cause = errors.New("it was lost")
	}
	l.ended = true
	for _, d := range w.all {
		if d.lease == l && d.event.now == d {
			d.event.now = nil
		}
	}
	for _, d := range slices.Clone(w.inFlight) {
		if d.lease == l && d.state != running && d.state != gone {
			if d.state == begun {
				d.event.attempts-- // as in finish
			}
			w.lose(d)
		}
	}
	w.leases[l.slot] = &modelLease{lease: leat.NewLease(), slot: l.slot}
	w.mu.Unlock()
	l.lease.End(cause)
}

func (w *world) pause(rt *rapid.T) {
	if w.stopping {
		rt.Skip("stopping")
	}
	w.mu.Lock()
	w.refresh()
	w.paused = true
	w.giveBackDraining()
	w.mu.Unlock()
	w.consumer.Pause()
}

func (w *world) resume(*rapid.T) {
	w.mu.Lock()
	w.paused, w.pauseEnd = false, time.Time{}
	w.mu.Unlock()
	w.consumer.Resume()
}

func (w *world) turnPoison(rt *rapid.T) {
	if w.poison != poisonQueue {
		rt.Skip("there is no poison queue")
	}
	w.mu.Lock()
	w.down = !w.down
	w.mu.Unlock()
}

// wait lets time pass, with a look at the Consumer right before and right after each time at which
// something is due.
func (w *world) wait(rt *rapid.T) {
	if w.stopping {
		rt.Skip("the ShutdownTimeout would pass")
	}
	w.sleep(rt, rapid.SampledFrom(delays[1:]).Draw(rt, "time"))
}

func (w *world) sleep(rt *rapid.T, d time.Duration) {
	for end := time.Now().Add(d); ; {
		next := w.nextDue(end)
		if next.IsZero() {
			return
		}
		if before := time.Until(next) - 1; before > 0 {
			time.Sleep(before)
			w.compare(rt)
		}
		time.Sleep(time.Nanosecond)
		w.compare(rt)
	}
}

// nextDue returns the next time that matters, until end or until nothing is in doubt any more; zero
// when there is none.
func (w *world) nextDue(end time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	next := time.Time{}
	consider := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, d := range w.inFlight {
		if d.state != parked {
			continue
		}
		if d.lo.After(now) && !d.lo.After(end) {
			consider(d.lo)
		} else if !d.lo.After(now) || !d.hi.After(end) {
			consider(d.hi)
		}
	}
	if !w.pauseEnd.After(end) {
		consider(w.pauseEnd)
	}
	consider(end)
	return next
}

// stop ends the context of Run, which drains.
func (w *world) stop(rt *rapid.T) {
	for range 3 { // it ends a sequence, so it is rare
		if w.stopping || rapid.Bool().Draw(rt, "not yet") {
			rt.Skip("not now")
		}
	}
	w.shutDown()
}

func (w *world) shutDown() {
	w.mu.Lock()
	w.refresh()
	w.stopping = true
	w.giveBackWaiting(nil)
	w.mu.Unlock()
	w.cancel()
}

// wind brings the sequence to its end: everything is handled, unless it was stopped before, and Run
// returns.
func (w *world) wind(rt *rapid.T) {
	if !w.stopping {
		w.resume(rt)
		w.mu.Lock()
		w.down = false
		w.mu.Unlock()
		w.compare(rt)
		for range 1_000 {
			w.finishAll(rt)
			if !slices.ContainsFunc(w.inFlight, func(d *modelDelivery) bool { return d.state != stuck && w.isFirst(d) }) {
				break
			}
			w.sleep(rt, time.Minute)
		}
		for _, d := range w.inFlight {
			if d.state != stuck && w.isFirst(d) {
				rt.Fatalf("%v in state %d is still in flight after all handlers succeeded", d, d.state)
			}
		}
		w.shutDown()
		w.compare(rt)
	}
	w.finishAll(rt)
	synctest.Wait()
	if len(w.result) == 0 {
		rt.Fatalf("Run has not returned after the drain")
	}
	err := <-w.result
	w.result <- err
	if (err != nil) != (w.crashes > 0) {
		rt.Fatalf("Run returned %v, and %d events were left by a panic", err, w.crashes)
	}
	for _, d := range w.all {
		if d.got == 0 && !d.lease.ended && d.order > 0 {
			rt.Fatalf("%v is not settled", d)
		}
	}
}

// finishAll lets handlers return without an error until none runs.
func (w *world) finishAll(rt *rapid.T) {
	for {
		w.mu.Lock()
		ended := 0
		for _, d := range slices.Clone(w.inFlight) {
			if d.state == running && d.outcomes != nil {
				w.finish(d, handlerOutcome{kind: "ok"})
				d.outcomes <- handlerOutcome{kind: "ok"}
				d.outcomes = nil
				ended++
			}
		}
		w.mu.Unlock()
		if ended == 0 {
			return
		}
		w.compare(rt)
	}
}
