package eventtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// consumeCases are the cases with a Producer and a Consumer.
func consumeCases() []Case {
	return slices.Concat(
		orderCases(), retryCases(), poisonCases(), poisonGroupCases(), poisonLimitCases(), limitCases(), bufferCases(),
		drainCases(), lifeCases(),
	)
}

// lifeCases are about beginning, ending and what is between.
func lifeCases() []Case {
	return []Case{
		{
			Name: "whole-groups-each-get-all", Level: Whole, Needs: []Need{NeedGroups},
			Rule:  "each group gets every event, once for all of its consumers",
			check: checkGroups,
		},
		{
			Name: "whole-broadcast-to-each", Level: Whole, Needs: []Need{NeedBroadcast},
			Rule:  "each consumer of a broadcast gets every event",
			check: checkBroadcastConsumers,
		},
		{
			Name: "whole-declared-group-keeps-events", Level: Whole, Needs: []Need{NeedDeclare},
			Rule:  "a group that is declared and has no consumer yet gets what is published meanwhile",
			check: checkDeclared,
		},
		{
			Name: "whole-unsupported-is-typed", Level: Whole,
			Rule:  "Run on a subscription that cannot be had returns a typed error",
			check: checkUnsupported,
		},
		{
			Name: "whole-run-again", Level: Whole,
			Rule:  "a Consumer that runs cannot be run; one that was stopped can, and gets nothing again that it had handled",
			check: checkRunAgain,
		},
		{
			Name: "whole-closed-broker-ends-run", Level: Whole,
			Rule:  "closing the adapter ends Run with CodeClosed, and later calls fail with CodeClosed",
			check: checkClosed,
		},
		{
			Name: "whole-close-races", Level: Whole,
			Rule:  "publishing and consuming while the adapter is closed ends, without a panic, each call with a typed outcome",
			check: checkCloseRaces,
		},
		{
			Name: "whole-nothing-leaks", Level: Whole,
			Rule:  "when consumers are stopped and the adapter is closed, none of their goroutines is left",
			check: checkLeaks,
		},
	}
}

func checkGroups(r *run) {
	b := r.open()
	l := r.newLedger(b)
	groups := []string{"g1", "g2"}
	ledgers := map[string]*counter{}
	for _, g := range groups {
		ledgers[g] = &counter{}
		for range 2 {
			r.launch(b, r.subscription(l.topic, g), ledgers[g].handle, nil).await()
		}
	}
	events := l.events(60, 10)
	p := leat.NewProducer(b, nil)
	r.must(p.Publish(r.ctx, l.topic, events...), "publishing")
	for _, g := range groups {
		r.eventually("the group "+g+" has every event", func() bool { return ledgers[g].distinct() == len(events) })
	}
	pause(r.opts.Quiet / 4)
	for _, g := range groups {
		if n := ledgers[g].total.Load(); n != int64(len(events)) {
			r.notef("the two consumers of group %s handled %d events %d times", g, len(events), n)
		}
	}
}

// counter is a handler that counts events.
type counter struct {
	total atomic.Int64
	mu    sync.Mutex
	ids   map[string]bool
}

func (c *counter) handle(_ context.Context, e leat.Event) error {
	c.total.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil {
		c.ids = map[string]bool{}
	}
	c.ids[e.ID()] = true
	return nil
}

func (c *counter) distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ids)
}

func checkBroadcastConsumers(r *run) {
	b := r.open()
	l := newLedger(r, r.h.Topic())
	var counters [2]counter
	for i := range counters {
		r.launch(b, leat.Subscription{Topic: l.topic, Broadcast: true}, counters[i].handle, nil).await()
	}
	events := l.events(30, 5)
	r.must(leat.NewProducer(b, nil).Publish(r.ctx, l.topic, events...), "publishing")
	for i := range counters {
		r.eventually(fmt.Sprintf("consumer %d of 2 has every event", i+1), func() bool { return counters[i].distinct() == len(events) })
	}
}

// checkDeclared publishes more than some brokers keep as history, so that only the declared group
// can have kept the first events.
func checkDeclared(r *run) {
	b := r.open()
	l := r.newLedger(b)
	l.send(b, l.events(60, 10)...)
	l.serve(b, succeed, nil)
	l.await()
}

func checkUnsupported(r *run) {
	b := r.open()
	l := r.newLedger(b)
	ask := func(sub leat.Subscription) {
		s := r.launch(b, sub, succeed, nil)
		r.eventually("it is refused, or works", func() bool { return s.wait(0) || s.subscribed() })
		err := s.stop()
		if _, ok := errors.AsType[*leat.Error](err); err != nil && !ok {
			r.notef("Run failed with %v, which is no *leat.Error", err)
		} else if leat.CodeOf(err) == leat.CodeInternal {
			r.notef("Run failed with CodeInternal: %v", err)
		}
	}
	ask(leat.Subscription{Topic: l.topic, Group: testGroup, Unordered: true}) // the group exists with order
	ask(leat.Subscription{Topic: l.topic, Broadcast: true})
	ask(leat.Subscription{Topic: "no such topic!", Group: testGroup})
}

func checkRunAgain(r *run) {
	b := r.open()
	l := r.newLedger(b)
	s := l.serve(b, succeed, nil)
	if err := leat.Run(r.ctx, s.consumer); leat.CodeOf(err) != leat.CodeConflict {
		r.notef("a Consumer that runs was run again, which returned %v", err)
	}
	for range 2 {
		l.send(b, l.events(20, 5)...)
		l.await()
		s.stopClean()
		s.run()
		s.await()
	}
	pause(r.opts.Quiet / 4)
	s.stopClean()
	l.checkOnce()
}

func checkClosed(r *run) {
	b := r.open()
	l := r.newLedger(b)
	s := l.serve(b, succeed, nil)
	l.send(b, l.events(10, 5)...)
	l.await()
	r.must(b.Close(), "closing the adapter")
	if !s.wait(r.opts.Patience) {
		r.failf("Run goes on after the adapter was closed")
	}
	if leat.CodeOf(s.err) != leat.CodeClosed {
		r.notef("Run ended with %v when the adapter was closed, not with CodeClosed", s.err)
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	if err := leat.Run(ctx, s.consumer); leat.CodeOf(err) != leat.CodeClosed {
		r.notef("Run on a closed adapter returned %v, not CodeClosed", err)
	}
	if err := leat.NewProducer(b, nil).Publish(ctx, l.topic, l.event("k", 8)); leat.CodeOf(err) != leat.CodeClosed {
		r.notef("Publish on a closed adapter returned %v, not CodeClosed", err)
	}
}

func checkCloseRaces(r *run) {
	b := r.open()
	l := r.newLedger(b)
	var services [2]*program
	for i := range services {
		services[i] = l.serve(b, dawdle(time.Millisecond), &leat.ConsumerOptions{ShutdownTimeout: r.opts.Quiet})
	}
	p := leat.NewProducer(b, nil)
	var count atomic.Int64
	var publishers sync.WaitGroup
	for i := range 4 {
		publishers.Go(func() {
			for r.ctx.Err() == nil {
				err := l.publish(r.ctx, p, l.event(fmt.Sprintf("key-%d", i), 64))
				count.Add(1)
				if code := leat.CodeOf(err); code == leat.CodeInternal {
					r.notef("a Publish during Close failed with CodeInternal: %v", err)
				}
				if leat.CodeOf(err) == leat.CodeClosed {
					return
				}
				pause(200 * time.Microsecond) // so that consumers keep up
			}
		})
	}
	r.eventually("publishers and consumers are at work", func() bool { return count.Load() > 40 && l.handledCount() > 10 })
	r.must(b.Close(), "closing the adapter")
	r.within(r.opts.Patience, "publishing after Close", publishers.Wait)
	for _, s := range services {
		if !s.wait(r.opts.Patience) {
			r.failf("Run goes on after the adapter was closed")
		}
		if leat.CodeOf(s.err) != leat.CodeClosed {
			r.notef("Run ended with %v when the adapter was closed, not with CodeClosed", s.err)
		}
	}
}

// leakChecks numbers the calls of checkLeaks. A number is not used again, as the address of
// something would be: goroutines that another suite's adapter has leaked are not to count here.
//
//nolint:gochecknoglobals // goroutine labels belong to the process, so what tells them apart does too
var leakChecks atomic.Int64

// checkLeaks looks only at goroutines that descend from its own work, by a label that they inherit.
func checkLeaks(r *run) {
	b, err := r.h.Open(r.ctx)
	r.must(err, "opening the adapter")
	name := fmt.Sprintf("%s, case %d", r.h.Topic(), leakChecks.Add(1)) // suites may run side by side, with topics of the same name
	defer pprof.SetGoroutineLabels(r.ctx)
	work, end := context.WithCancel(r.ctx)
	defer end()
	pprof.Do(work, pprof.Labels("eventtest", name), func(context.Context) {
		l := r.newLedger(b)
		s := l.serve(b, dawdle(time.Millisecond), nil)
		l.send(b, l.events(100, 10)...)
		l.await()
		s.stopClean()
		r.must(b.Close(), "closing the adapter")
	})
	defer func() {
		if n := labelled(name); n > 0 {
			r.notef("%d goroutines are left", n)
		}
	}()
	r.eventually("no goroutine is left", func() bool { return labelled(name) == 0 })
}

// labelled counts the goroutines with the label eventtest=name. A profile has a line "<count> @
// <addresses>" for each stack, and below it the labels.
func labelled(name string) int {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return 0
	}
	total, last := 0, 0
	for line := range strings.Lines(profile.String()) {
		if count, _, ok := strings.Cut(line, " @ "); ok {
			last, _ = strconv.Atoi(count)
		}
		if strings.HasPrefix(line, "# labels:") && strings.Contains(line, strconv.Quote(name)) {
			total += last
		}
	}
	return total
}
