package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"pgregory.net/rapid" //nolint:depguard // this module exists to keep it out of the others
)

// world is a Consumer on a scripted broker, and beside it the model of both. Between two actions
// the Consumer is left alone until nothing moves, and compared with the model. The model changes
// before the Consumer is told, so that what the Consumer then does can be checked at once; what is
// wrong is kept in fault until the next comparison.
type world struct {
	concurrency, maxInFlight int
	caps                     leat.Capabilities
	poison                   poisonMode

	consumer *leat.Consumer
	cancel   context.CancelFunc
	result   chan error

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when there is more to receive
	fault    error         // the first rule that broke
	broken   bool          // the sequence is over: handlers return at once
	leases   [2]*modelLease
	events   []*modelEvent
	all      []*modelDelivery
	stream   []*modelDelivery // not received yet
	inFlight []*modelDelivery // in the order in which they were received
	active   int              // handlers that run, as they count themselves
	paused   bool
	pauseEnd time.Time
	down     bool      // the poison queue fails
	failed   int       // its failures in a row
	failedAt time.Time // the last of them
	poisonLo time.Time // while it fails, no publish before
	stopping bool
	crashes  int // events that a panic left unhandled at the drain
	received int
	lost     int
}

type poisonMode int

const (
	poisonNowhere poisonMode = iota
	poisonNative
	poisonQueue
)

// modelLease is one of the two leases of the stream.
type modelLease struct {
	lease        *leat.Lease
	slot         int
	attached     bool
	draining     bool
	ended        bool
	started      int // the highest order of its deliveries that were started
	wantReleased bool
	releases     int
}

// modelEvent is an event of the broker. Those of one key are delivered in the order of their
// numbers.
type modelEvent struct {
	n          int
	key        string
	event      leat.Event
	done       bool // acked, or in the poison queue
	deliveries int
	attempts   int
	now        *modelDelivery // nil while the broker has it
	begun      *modelDelivery // whose attempt began last
}

type deliveryState int

const (
	inStream deliveryState = iota
	waiting                // ready if it is the first of its lane
	begun                  // its batch waits for one that runs
	running
	parked    // until a time between lo and hi
	stuck     // parked without a time
	poisoning // the poison queue will be tried again, not before poisonLo
	gone
)

type modelDelivery struct {
	n        int // the offset of its Position, from 1
	event    *modelEvent
	lease    *modelLease
	state    deliveryState
	order    int
	lo, hi   time.Time
	tried    time.Time // when its publish to the poison queue last failed
	crashed  bool
	late     bool // delivered though its lease was draining already
	outcomes chan handlerOutcome
	ctx      context.Context

	want, got           leat.Action // 0 is not settled
	wantDelay, gotDelay time.Duration
}

type handlerOutcome struct {
	kind  string
	delay time.Duration
}

var errHandler = errors.New("the handler failed")

func newWorld(concurrency, maxInFlight int, caps leat.Capabilities, poison poisonMode, batches bool) *world {
	w := &world{
		concurrency: concurrency, maxInFlight: maxInFlight, caps: caps, poison: poison,
		changed: make(chan struct{}), result: make(chan error, 1),
	}
	for i := range w.leases {
		w.leases[i] = &modelLease{lease: leat.NewLease(), slot: i}
	}
	o := &leat.ConsumerOptions{Concurrency: concurrency, MaxInFlight: maxInFlight}
	if poison == poisonQueue {
		o.PoisonQueue = w
	}
	var h leat.Handler = leat.HandlerFunc(w.handle)
	if batches {
		h = w.batch()
	}
	w.consumer = leat.NewConsumer(w, leat.Subscription{Topic: "t", Group: "g"}, h, o)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.result <- leat.Run(ctx, w.consumer) }()
	synctest.Wait()
	return w
}

// close ends the Consumer, whatever the sequence has come to, so that the bubble can end.
func (w *world) close() {
	w.mu.Lock()
	w.broken = true
	for _, d := range w.all {
		if d.outcomes != nil {
			close(d.outcomes)
			d.outcomes = nil
		}
	}
	w.mu.Unlock()
	w.cancel()
	if err := <-w.result; err != nil && w.crashes == 0 && w.fault == nil {
		w.fault = err // for who debugs; the sequence has been judged before
	}
}

// breaks notes the first rule that broke. The lock is held.
func (w *world) breaks(format string, args ...any) {
	if w.fault == nil && !w.broken {
		w.fault = fmt.Errorf(format, args...)
	}
}

// held reports whether a worker has d.
func (d *modelDelivery) held() bool { return d.state == begun || d.state == running }

func (d *modelDelivery) String() string {
	return fmt.Sprintf("delivery %d of event %d with key %q", d.n, d.event.n, d.event.key)
}

// The model. The lock is held in all of it.

// backoffRange returns between which times the Consumer's own backoff ends.
func backoffRange(now time.Time, attempts int) (lo, hi time.Time) {
	delay := 100 * time.Millisecond
	for range min(attempts-1, 20) {
		delay *= 2
	}
	delay = min(delay, 30*time.Second)
	return now.Add(delay / 2), now.Add(delay)
}

// refresh is what the clock alone changes.
func (w *world) refresh() {
	now := time.Now()
	for _, d := range w.inFlight {
		if d.state == parked && !d.hi.After(now) {
			d.state = waiting
		}
	}
	if !w.pauseEnd.After(now) {
		w.pauseEnd = time.Time{}
	}
}

func (w *world) pausedNow() bool { return w.paused || !w.pauseEnd.IsZero() }

// isFirst reports whether nothing of d's key is in flight before it.
func (w *world) isFirst(d *modelDelivery) bool {
	if d.event.key == "" {
		return true
	}
	for _, other := range w.inFlight {
		if other.event.key == d.event.key {
			return other == d
		}
	}
	return true
}

// leave takes d out; want is how it must be settled, 0 when it is lost.
func (w *world) leave(d *modelDelivery, want leat.Action, delay time.Duration) {
	d.state, d.want, d.wantDelay = gone, want, delay
	w.inFlight = slices.DeleteFunc(w.inFlight, func(other *modelDelivery) bool { return other == d })
	switch want {
	case leat.Ack, leat.NativeReject:
		for _, other := range w.events {
			if other.key != "" && other.key == d.event.key && other.n < d.event.n && !other.done {
				w.breaks("%v is settled for good before event %d", d, other.n)
			}
		}
		d.event.done, d.event.now = true, nil
	case leat.GiveBack:
		if w.stopping && d.crashed {
			w.crashes++
		}
		d.event.now = nil
	default:
		w.lost++
	}
}

// lose is the end of d with its lease: what is behind it in its lane on a lease that lasts goes
// back, unless it is d's redelivery.
func (w *world) lose(d *modelDelivery) {
	for _, other := range slices.Clone(w.inFlight) {
		if d.event.key == "" || other.event.key != d.event.key || other.order <= d.order {
			continue
		}
		if other.event == d.event {
			break
		}
		if !other.lease.ended {
			w.leave(other, leat.GiveBack, 0)
		}
	}
	w.leave(d, 0, 0)
}

// giveBackLane gives back d and what is behind it in its lane.
func (w *world) giveBackLane(d *modelDelivery) {
	for _, other := range slices.Clone(w.inFlight) {
		if other == d || d.event.key != "" && other.event.key == d.event.key && other.order > d.order {
			w.leave(other, leat.GiveBack, 0)
		}
	}
}

// giveBackWaiting is a drain: of one lease, or of all when l is nil.
func (w *world) giveBackWaiting(l *modelLease) {
	runs := w.stopping || !w.pausedNow()
	for _, d := range slices.Clone(w.inFlight) {
		if d.held() || d.state == gone || l != nil && d.lease != l {
			continue
		}
		if w.caps.Watermark && runs && d.state == waiting && d.order < d.lease.started {
			continue
		}
		w.giveBackLane(d)
	}
}

// giveBackDraining is the begin of a pause: what draining leases still kept to be run goes back.
func (w *world) giveBackDraining() {
	for _, d := range slices.Clone(w.inFlight) {
		if d.lease.draining && !d.held() && d.state != gone {
			w.giveBackLane(d)
		}
	}
}

// finish is the end of a handler.
func (w *world) finish(d *modelDelivery, o handlerOutcome) {
	w.refresh()
	now := time.Now()
	d.state = waiting
	switch {
	case d.lease.ended:
		d.event.attempts-- // it is handled again, whatever became of it
		w.lose(d)
		return
	case o.kind == "ok":
		w.leave(d, leat.Ack, 0)
		return
	}
	d.crashed = o.kind == "panic"
	giveBack := w.stopping || d.lease.draining
	switch {
	case o.kind == "reject" && w.poison == poisonQueue:
		d.state = poisoning
		return
	case o.kind == "reject" && w.poison == poisonNative:
		w.leave(d, leat.NativeReject, 0)
		return
	case o.kind == "pause":
		d.event.attempts--
	}
	delay := o.delay
	if w.caps.LongestHold > 0 {
		delay = min(delay, w.caps.LongestHold)
	}
	switch {
	case giveBack:
		w.giveBackLane(d)
	case o.kind == "reject":
		d.state = stuck
	case o.kind == "pause":
		if end := now.Add(o.delay); end.After(w.pauseEnd) {
			w.pauseEnd = end
			w.giveBackDraining()
		}
	case o.kind == "retry" && d.event.key == "" && delay >= time.Minute && delay <= w.caps.LongestDelay:
		w.leave(d, leat.GiveBack, delay)
	case o.kind == "retry":
		d.state, d.lo, d.hi = parked, now.Add(delay), now.Add(delay)
	default:
		d.state = parked
		d.lo, d.hi = backoffRange(now, d.event.attempts)
	}
}

// compare waits until nothing moves and holds the Consumer against the model.
func (w *world) compare(rt *rapid.T) {
	synctest.Wait()
	stats := w.consumer.Stats()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refresh()
	for _, d := range w.all {
		if d.got != d.want || d.gotDelay != d.wantDelay {
			w.breaks("%v in state %d is settled with %d and delay %v, and should be with %d and %v",
				d, d.state, d.got, d.gotDelay, d.want, d.wantDelay)
		}
	}
	ready, runs, waits, parks, maybe := 0, 0, 0, 0, 0
	for _, d := range w.inFlight {
		switch {
		case d.held():
			if d.state == running {
				runs++
			} else {
				waits++
			}
			if ended := d.ctx.Err() != nil; ended != d.lease.ended {
				w.breaks("the context of %v is %v, and its lease has ended: %t", d, d.ctx.Err(), d.lease.ended)
			} else if ended && !errors.Is(context.Cause(d.ctx), leat.ErrLeaseLost) {
				w.breaks("the context of %v ended with %v", d, context.Cause(d.ctx))
			}
		case d.state == parked && !d.lo.After(time.Now()):
			maybe++
		case d.state == parked, d.state == stuck, d.state == poisoning:
			parks++
		case w.isFirst(d):
			ready++
		}
	}
	if waits > w.concurrency || waits > 0 && runs < w.concurrency { // as many workers may be on their way when a batch is full
		w.breaks("%d events wait for their batch, and %d of %d run", waits, runs, w.concurrency)
	}
	pausing := w.pausedNow() && !w.stopping
	if ready > 0 && runs < w.concurrency && !pausing {
		w.breaks("%d events are ready and %d of %d handlers run", ready, runs, w.concurrency)
	}
	if len(w.stream) > 0 && len(w.inFlight) < w.maxInFlight && ready+maybe == 0 && !pausing && !w.stopping {
		w.breaks("%d events are not received, though only %d of %d are in flight", len(w.stream), len(w.inFlight), w.maxInFlight)
	}
	for _, l := range w.leases {
		w.compareLease(l)
	}
	over := len(w.result) > 0 // Run has returned, and its numbers are gone
	if int(stats.Received) != w.received || int(stats.LeaseLost) != w.lost || !over && (stats.InFlight != len(w.inFlight) ||
		maybe == 0 && (stats.Parked != parks || stats.Running != runs+waits)) {
		w.breaks("%+v, and the model has received %d, lost %d, in flight %d, parked %d, running %d",
			stats, w.received, w.lost, len(w.inFlight), parks, runs+waits)
	}
	if w.stopping && len(w.inFlight) == 0 && !over {
		w.breaks("nothing is in flight, and Run has not returned")
	}
	if w.fault != nil {
		rt.Fatalf("%v", w.fault)
	}
}

func (w *world) compareLease(l *modelLease) {
	if l.draining && !l.ended && !slices.ContainsFunc(w.inFlight, func(d *modelDelivery) bool { return d.lease == l }) {
		l.wantReleased = true
	}
	want := 0
	if l.wantReleased {
		want = 1
	}
	if l.releases != want {
		w.breaks("lease %d was released %d times, not %d", l.slot, l.releases, want)
	}
}
