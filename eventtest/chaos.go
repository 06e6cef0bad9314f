package eventtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
)

const (
	// maxSteps ends a run that does not come to rest.
	maxSteps = 50_000
	// restTime is how long nothing may happen, in the bubble's time, before a run that has nothing
	// left to do is over.
	restTime = time.Minute
	// stuckTime is how long nothing may happen before a run that has something left to do is stuck.
	// It is longer than any backoff.
	stuckTime = 2 * time.Hour
	// gatherTime is how long time goes on, once something happened, until every delivery that is
	// waiting has acted. Retries have jitter: without this, chance would decide which of two comes
	// first.
	gatherTime = 5 * time.Second
)

// chaos is one run: the broker, the services and the scheduler. mu guards all of it, and is not
// held while a lease ends. Apart from the scheduler's goroutine, services only post ops, subscribe,
// and give back what they hold when they close a stream.
type chaos struct {
	mu       sync.Mutex
	plan     *plan
	inbox    []*op
	activity chan struct{} // something happened that may let the scheduler go on
	actions  []*action
	services []*service
	topics   []*topic
	flushing map[*stream]chan struct{}
	seen     map[string]int     // how many actions had the label
	names    map[eventID]string // of events in the timeline
	named    map[*service]int   // how many events a service has made
	effects  map[effectID][]int // the lines at which it took place
	firsts   []effectID         // effects in the order of their first time
	poisoned map[string]bool    // by topic, group and event
	failure  *failure
	trace    []line
	steps    int
	odd      bool // the action that is done now has a fault, or waited
	over     bool // nothing starts again
}

type effectID struct {
	event  eventID
	effect string
}

// failure is why a run failed.
type failure struct {
	invariant string
	err       error
}

func newChaos(p *plan) *chaos {
	return &chaos{
		plan: p, activity: make(chan struct{}, 1), flushing: map[*stream]chan struct{}{}, seen: map[string]int{},
		names: map[eventID]string{}, named: map[*service]int{}, effects: map[effectID][]int{}, poisoned: map[string]bool{},
	}
}

// action is something that can be done next.
type action struct {
	kind  actionKind
	label string
	d     decision
	delay int // how many steps of others it waits for
	op    *op
	lane  *lane
	life  *service
}

type actionKind uint8

const (
	doOp actionKind = iota // first what has begun
	doRestart
	doDeliver
	doDriver // then what comes from outside
)

// stir tells the scheduler that something happened. It never blocks.
func (c *chaos) stir() {
	select {
	case c.activity <- struct{}{}:
	default:
	}
}

// post hands an op to the scheduler.
func (c *chaos) post(o *op) {
	if o.out != nil {
		o.out.acts++
	}
	c.inbox = append(c.inbox, o)
	c.stir()
}

// add makes an action possible, and decides what will go wrong with it.
func (c *chaos) add(a *action, options []fault) {
	c.seen[a.label]++
	if n := c.seen[a.label]; n > 1 {
		a.label = fmt.Sprintf("%s#%d", a.label, n)
	}
	a.d = c.plan.decide(a.label, options)
	a.delay = a.d.steps
	at := len(c.actions)
	for at > 0 && c.actions[at-1].kind > a.kind {
		at--
	}
	c.actions = slices.Insert(c.actions, at, a)
}

// forget drops the actions that can never be done.
func (c *chaos) forget(never func(a *action) bool) { c.actions = slices.DeleteFunc(c.actions, never) }

// offer makes the head of a lane deliverable.
func (c *chaos) offer(l *lane) {
	name := l.group.name
	if l.group.owner != nil {
		name = l.group.owner.h.service.name
	}
	c.add(&action{kind: doDeliver, label: name + "/deliver/" + l.queue[0].name, lane: l}, []fault{faultCrashBefore, faultLeaseLost})
}

// ingest makes actions of the ops that came.
func (c *chaos) ingest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	ops := c.inbox
	c.inbox = nil
	slices.SortStableFunc(ops, compareOps)
	for _, o := range ops {
		if o.canceled || o.h.dead {
			continue
		}
		c.admit(o)
	}
	for _, s := range c.services {
		if s.returned && !c.over {
			s.returned = false
			c.add(&action{kind: doRestart, label: s.name + "/restart", life: s}, nil)
		}
	}
}

// admit makes an action of an op.
func (c *chaos) admit(o *op) {
	a := &action{kind: doOp, op: o}
	who := o.h.service
	var options []fault
	switch o.kind {
	case opPublish:
		a.label = who.name + "/publish/" + c.nameOf(who, o.event)
		options = []fault{faultRefused, faultUnknownStored, faultUnknownLost}
	case opEffect:
		a.label = who.name + "/" + word(o.effect) + "/" + c.nameOf(who, o.event)
	case opSettle:
		a.label = who.name + "/" + settleVerb(o.action) + "/" + o.out.name
		if o.action == leat.Ack {
			options = []fault{faultRedeliver}
		}
	}
	if who.outside {
		a.kind = doDriver
	} else {
		options = append(options, faultCrashBefore, faultCrashAfter)
		if o.out != nil {
			options = append(options, faultLeaseLost)
		}
	}
	c.add(a, options)
}

// nameOf names an event in the timeline: by who published it first, and its number among those.
func (c *chaos) nameOf(s *service, e leat.Event) string {
	id := idOf(e)
	name, ok := c.names[id]
	if !ok {
		c.named[s]++
		prefix := s.name + "."
		if s.outside {
			prefix = "e"
		}
		name = fmt.Sprintf("%s%d", prefix, c.named[s])
		c.names[id] = name
	}
	return name
}

// word makes a name fit for a schedule.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(`,='"/#\$`, r) {
			return '-'
		}
		return r
	}, s)
}

// next takes the action that is to be done next, nil when none can be. What waits for steps of
// others goes on when there are none.
func (c *chaos) next() *action {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(func(a *action) bool { return a.op != nil && (a.op.canceled || a.op.h.dead) })
	var best *action
	for _, a := range c.actions {
		if !c.possible(a) {
			continue
		}
		if a.delay == 0 {
			best = a
			break
		}
		if best == nil {
			best = a
		}
	}
	if best == nil {
		return nil
	}
	for _, a := range c.actions {
		if a.delay > 0 && a != best {
			a.delay--
		}
	}
	if best.d.fault == faultDelay {
		best.d.fault = faultNone
	}
	best.delay = 0
	c.actions = slices.DeleteFunc(c.actions, func(a *action) bool { return a == best })
	return best
}

func (c *chaos) possible(a *action) bool {
	return a.kind != doDeliver || a.lane.group.receiver() != nil
}

// receiver returns the stream that gets the next delivery; nil when none waits.
func (g *group) receiver() *stream {
	for i := range g.streams {
		if s := g.streams[(g.turn+i)%len(g.streams)]; s.waiting && !s.closed && !s.h.dead {
			return s
		}
	}
	return nil
}

// run does one action after the other until nothing is left to do, and time does not help either.
func (c *chaos) run() {
	for c.failed() == nil {
		synctest.Wait()
		c.ingest()
		if c.steps++; c.steps > maxSteps {
			c.fail("comes to rest", fmt.Errorf("it goes on after %d steps: %s", maxSteps, c.open()))
			return
		}
		if a := c.next(); a != nil {
			c.perform(a)
		} else if !c.passTime() {
			return
		}
	}
}

// passTime lets time pass until something happens; false when nothing does.
func (c *chaos) passTime() bool {
	open := c.open()
	patience := restTime
	if open != "" {
		patience = stuckTime
	}
	if !c.stirred(patience) {
		if open != "" {
			c.fail("comes to rest", fmt.Errorf("nothing happened for %v: %s", stuckTime, open))
		}
		return false
	}
	for end := time.Now().Add(gatherTime); c.waiting() > 0 && c.stirred(time.Until(end)); {
	}
	return true
}

// stirred waits at most d for something to happen.
func (c *chaos) stirred(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.activity:
		synctest.Wait()
		return true
	case <-timer.C:
		return false
	}
}

// waiting counts the deliveries whose handler is in a retry, or waits for something that is not the
// scheduler.
func (c *chaos) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, t := range c.topics {
		for _, g := range t.groups {
			for _, out := range g.out {
				if out.acts == 0 {
					n++
				}
			}
		}
	}
	return n
}

// open says what keeps the run from being over; empty when nothing does.
func (c *chaos) open() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var open []string
	for _, s := range c.services {
		switch {
		case s.outside && s.running:
			open = append(open, s.name+" has not returned")
		case !s.outside && s.life.dead:
			open = append(open, s.name+" has not returned after its context ended")
		}
	}
	for _, t := range c.topics {
		for _, g := range t.groups {
			if g.left == 0 || !g.served {
				continue
			}
			if len(g.out) > 0 {
				open = append(open, fmt.Sprintf("event %s stays unsettled in group %s of topic %s: its handler keeps failing or does not return",
					g.out[0].name, g.name, t.name))
			} else {
				open = append(open, fmt.Sprintf("%d %s for group %s of topic %s, which nobody receives",
					g.left, plural(g.left, "event", "events"), g.name, t.name))
			}
		}
	}
	return strings.Join(open, "; ")
}

// fail notes why the run failed; the first reason counts.
func (c *chaos) fail(invariant string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.failure = &failure{invariant, err}
	}
	c.stir()
}

func (c *chaos) failed() *failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}
