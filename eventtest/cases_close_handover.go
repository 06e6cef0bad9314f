package eventtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// handoverCases are about what a stream holds, and what is on its way to it, when it closes.
func handoverCases() []Case {
	return []Case{
		{
			Name: "close-hands-over", Level: Raw,
			Rule: "Stream.Close: what the stream holds, delivered or fetched ahead, goes to another stream at once and in order, " +
				"not when a lease has run out",
			check: checkCloseHandsOver,
		},
		{
			Name: "close-hands-over-late", Level: Raw, Needs: []Need{NeedPause},
			Rule:  "Stream.Close: a broker that answers late gets what the stream holds back all the same, and hands it over at once",
			check: checkCloseHandsOverLate,
		},
		{
			Name: "close-in-transit", Level: Raw,
			Rule:  "Stream.Close: events on their way to a closing stream are not lost, and need not wait until a lease has run out",
			check: checkCloseInTransit,
		},
	}
}

// handoverBound is how soon after Close another stream has what the closed one held. It is well
// below the period after which a lease runs out by itself, where the harness knows that.
func (r *run) handoverBound() time.Duration {
	bound := lossBound + r.operation
	if t, ok := r.h.(LeaseTimer); ok {
		bound = min(bound, t.LeasePeriod()/2)
	}
	return bound
}

// promptly tries something up to three times, until it takes no longer than the bound of a
// hand-over: a machine that is busy with other work makes one hand-over slow, and an adapter that
// waits for leases to run out makes each of them slow.
func (r *run) promptly(what string, try func() (took time.Duration)) {
	bound := r.handoverBound()
	var all []time.Duration
	for range 3 {
		took := try()
		if took <= bound {
			return
		}
		all = append(all, took.Round(time.Millisecond))
	}
	r.failf("%s: some of it came only after %v; %v are allowed", what, all, bound)
}

// takeAfter takes n deliveries, and returns the longest wait for one of them since w began.
func (rd *reader) takeAfter(n int, w stopwatch) (got []leat.Delivery, longest time.Duration) {
	ctx, cancel := context.WithTimeout(rd.r.ctx, rd.r.opts.Patience)
	defer cancel()
	for len(got) < n {
		ds, err := rd.receive(ctx, min(batch, n-len(got)))
		if longest = max(longest, w.took()); err != nil {
			rd.r.failf("the group %q got %d of %d deliveries (%s) in %v (Options.Patience), then Receive: %v",
				rd.sub.Group, len(got), n, ids(got), rd.r.opts.Patience, err)
		}
		got = append(got, ds...)
		w = rd.r.stopwatch()
	}
	return got, longest
}

// load is what a stream of these cases has to hand over: events of keys and without one.
func (r *run) load(name string) []leat.Event {
	const keys, each, keyless = 20, 8, 60
	events := make([]leat.Event, 0, keys*each+keyless)
	for i := range each {
		for k := range keys {
			events = append(events, r.event(fmt.Sprintf("%s-%d-%d", name, k, i), fmt.Sprintf("key-%d", k)))
		}
	}
	for i := range keyless {
		events = append(events, r.event(fmt.Sprintf("%s-none-%d", name, i), ""))
	}
	return events
}

// without returns the events that are not among the deliveries.
func without(events []leat.Event, ds []leat.Delivery) []leat.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e leat.Event) bool {
		return slices.ContainsFunc(ds, func(d leat.Delivery) bool { return nameOf(&d) == e.ID() })
	})
}

// expectByKey fails the case unless the deliveries are the events, each once, and those of a key
// are in the order of the events where the stream keeps one.
func (rd *reader) expectByKey(what string, got []leat.Delivery, want ...leat.Event) {
	rd.r.expectSet(what, got, want...)
	if !rd.keepsOrder() {
		return
	}
	place := map[string]int{}
	for i, e := range want {
		place[e.ID()] = i
	}
	last := map[string]int{}
	for i := range got {
		key, id := got[i].Event.Key(), nameOf(&got[i])
		if key == "" {
			continue
		}
		if place[id] < last[key] {
			rd.r.failf("%s: %q came after a later event of its key", what, id)
		}
		last[key] = place[id]
	}
}

// settling takes n deliveries as takeAfter does, and acks each at once, so that a stream that
// withholds later events of a key delivers all.
func (rd *reader) settling(n int, w stopwatch) (got []leat.Delivery, longest time.Duration) {
	for len(got) < n {
		ds, waited := rd.takeAfter(1, w)
		rd.settle(acked(), ds...)
		got = append(got, ds...)
		longest = max(longest, waited)
		w = rd.r.stopwatch()
	}
	return got, longest
}

func checkCloseHandsOver(r *run) {
	b, topic := r.start(groupA)
	name := 0
	for _, before := range []bool{false, true} { // whether the other stream is there before the first one closes
		r.promptly("a stream that held events was closed", func() time.Duration {
			name++
			events := r.load(fmt.Sprint("handed-", name))
			one := r.join(b, topic, groupA)
			r.mustPublish(b, topic, events...)
			held := one.take(20)
			done := held[:5]
			one.settle(acked(), done...)
			pause(r.brief()) // what is fetched ahead is there by then
			var two *reader
			other := r.open()
			if before {
				two = r.join(other, topic, groupA)
			}
			one.close()
			w := r.stopwatch()
			if !before {
				two = r.join(other, topic, groupA)
			}
			left := without(events, done)
			got, longest := two.settling(len(left), w)
			two.expectByKey("the first stream was closed", got, left...)
			two.close()
			return longest
		})
	}
}

func checkCloseHandsOverLate(r *run) {
	b, topic := r.start(groupA)
	other := r.open()
	name := 0
	r.promptly("a stream was closed while the broker did not answer, for a moment", func() time.Duration {
		name++
		events := r.load(fmt.Sprint("late-", name))
		one := r.join(b, topic, groupA)
		r.mustPublish(b, topic, events...)
		done := one.take(20)[:5]
		resume := r.paused()
		one.settle(acked(), done...)
		var closing sync.WaitGroup
		closing.Go(one.closeQuietly)
		pause(r.opts.Quiet)
		resume()
		closing.Wait()
		w := r.stopwatch()
		two := r.join(other, topic, groupA)
		left := without(events, done)
		got, longest := two.settling(len(left), w)
		two.expectByKey("the first stream was closed while the broker did not answer", got, left...)
		two.close()
		return longest
	})
}

// closeQuietly is close for another goroutine than that of the case.
func (rd *reader) closeQuietly() {
	ctx, cancel := context.WithTimeout(rd.r.ctx, rd.r.opts.Patience)
	defer cancel()
	if err := rd.stream.Close(ctx); err != nil {
		rd.r.notef("closing the stream: %v", err)
	}
}

// checkCloseInTransit closes streams one after the other while events arrive.
func checkCloseInTransit(r *run) {
	b, topic := r.start(groupA)
	name := 0
	r.promptly("streams were closed while events arrived", func() time.Duration {
		name++
		left := r.closeUnderLoad(b, topic, fmt.Sprint("transit-", name))
		w := r.stopwatch()
		last := r.join(b, topic, groupA)
		got, longest := last.settling(len(left), w)
		last.expectByKey("several streams were closed", got, left...)
		last.close()
		return longest
	})
}

// closeUnderLoad opens and closes streams while events are published, each as soon as it has
// received a few, of which it acks half. It returns the events that no stream acked.
func (r *run) closeUnderLoad(b leat.Broker, topic, name string) []leat.Event {
	const streams = 8
	l := r.pour(topic, name)
	defer l.stop()
	var done []leat.Delivery
	for i := range streams {
		rd := r.join(b, topic, groupA)
		got := rd.take(2 + 2*(i%4))
		half := got[:len(got)/2]
		rd.settle(acked(), half...)
		done = append(done, half...)
		l.fast.Store(true)
		pause(time.Duration(i%4) * time.Millisecond) // events arrive
		rd.close()
		l.fast.Store(false)
		l.budget.Store(pourPerStream)
	}
	return without(l.stop(), done)
}

// pouring is a goroutine that publishes.
type pouring struct {
	fast   atomic.Bool         // whether a stream closes, so that events should arrive
	budget atomic.Int64        // how often it may publish before the next stream
	stop   func() []leat.Event // returns what was published; may be called again
}

// pourPerStream is how often a pouring publishes for each stream at most: most of it while the
// stream closes, where that takes a normal time. Each stream receives again what its predecessors
// left, so that without a bound a slow one would have ever more to receive.
const (
	pourPerStream = 16
	pourWhileOpen = 4
)

// pour publishes to a topic: as fast as it can while a stream closes, and else only now and then,
// so that an adapter that is slow to open streams has no more to hand over than a quick one.
func (r *run) pour(topic, name string) *pouring {
	const keys = 50
	p := &pouring{}
	p.budget.Store(pourPerStream)
	var events []leat.Event
	var publishing sync.WaitGroup
	over := make(chan struct{})
	publisher := r.open()
	publishing.Go(func() {
		for i := 0; ; i++ {
			p.budget.Add(-1)
			some := r.spread(fmt.Sprintf("%s-%d", name, i), keys)
			o := newOutcomes(len(some))
			publisher.Publish(r.ctx, topic, some, o.done)
			for !o.complete() && r.ctx.Err() == nil {
				pause(100 * time.Microsecond)
			}
			for j, err := range o.errs {
				if err != nil {
					r.notef("publishing %q: %v", some[j].ID(), err)
				}
			}
			events = append(events, some...)
			for wait := time.Now(); ; {
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
				}
				left := p.budget.Load()
				if left > 0 && p.fast.Load() || left > pourPerStream-pourWhileOpen && time.Since(wait) > 20*time.Millisecond {
					break
				}
			}
		}
	})
	p.stop = sync.OnceValue(func() []leat.Event {
		close(over)
		publishing.Wait()
		return events
	})
	return p
}
