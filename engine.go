package leat

import (
	"context"
	"errors"
	"time"
)

// engine is one run of a Consumer: a receive loop that fills lanes, and workers that take ready
// items from them. Everything in it is guarded by Consumer.mu; stream, observer, caps and base do
// not change once the receive loop has begun.
type engine struct {
	// What the workers read without the lock comes first, so that it shares no cache line with what
	// changes.
	c        *Consumer
	stream   Stream
	observer Observer // nil for most
	caps     Capabilities

	base context.Context // what handlers' contexts descend from: the values of Run's context, not its end
	// leaseOver is the cause of contexts whose lease ended in order: one for all, as there may be a
	// lease for each message.
	leaseOver error
	epoch     time.Time     // the zero of the engine's clock, which is cheaper to read than the time
	leaseZero time.Duration // the same moment on the clock of leases
	all       itemList
	free      itemPool
	lanes     laneTable
	ready     readyList
	park      park
	seq       uint64

	workers int // goroutines that run work
	running int // of them, those that run a handler
	idle    []*worker
	waking  bool // a worker was woken and has not looked for work yet
	backlog bool // a batch is full and has to wait for one that runs
	joined  int  // of the workers, those that wait in joinBatch
	poison  poisonStage
	outage  outageStage
	failing int // items whose last attempt that says something failed, and that only the engine retries
	// unrouted has hashes of the types that no route wanted, for noteSkipped.
	unrouted map[uint64]struct{}

	gate     *gate // of the Run
	suspects suspectStage

	room     chan struct{} // wakes the receive loop, which waits on it while it is starved
	starved  bool          // the receive loop waits for room
	full     bool          // the limits are used up
	fullAt   time.Duration // since when, or when an item left last; on the engine's clock
	pauseEnd time.Time     // a handler's Pause lasts until then
	pause    pauseState    // why

	stalled      bool // the log says that it is
	stallWatched bool // the timer is set
	stallTimer   *time.Timer

	idleSince time.Duration // since when it has nothing to do, as far as somebody looks; 0 when it has

	stopping bool          // receiving and dispatching have stopped
	stopped  bool          // workers end when their handler returns
	later    []settling    // what to settle as soon as the lock is free
	after    []func()      // what to do after that: telling leases, logging
	flushing int           // goroutines that are doing that
	drained  chan struct{} // closed when stopping and nothing runs
	quiet    chan struct{} // closed when stopped and only workers with a handler that does not return are left
	crashes  []error       // panics that left an event unhandled at the drain

	batches batchStage
}

// settling is a settlement that waits for the lock to be free, and what an observer is told before
// it. Either may be missing.
type settling struct {
	d     Delivery
	s     Settlement
	lease *leaseWork
	seen  seen
}

// receiveBatch is how many deliveries are taken at once; their state is allocated together.
const receiveBatch = 64

// maxCrashes bounds how many panics Run's error names.
const maxCrashes = 10

func newEngine(c *Consumer) *engine {
	return &engine{
		c: c, observer: c.o.Observer, epoch: time.Now(), leaseZero: leaseClock(),
		leaseOver: &Error{Op: "handle", Topic: c.sub.Topic, Code: CodeLeaseLost},
		lanes:     newLaneTable(), room: make(chan struct{}, 1),
		drained: make(chan struct{}), quiet: make(chan struct{}),
		suspects: suspectStage{wake: make(chan struct{}, 1), stop: make(chan struct{})},
	}
}

// run receives and handles until ctx ends or the stream fails, then drains.
func (e *engine) run(ctx context.Context) error {
	e.c.journal.Open()
	stream, err := e.c.broker.Subscribe(ctx, e.c.sub)
	if err != nil {
		err = unlessStopped(ctx, err)
		e.noteEnd(err)
		return err
	}
	poisonTopic := e.c.poisonTopic()
	e.c.mu.Lock()
	e.stream, e.caps, e.base = stream, stream.Capabilities(), context.WithoutCancel(ctx)
	e.poison.topic = poisonTopic
	e.suspects.ctx, e.suspects.cancel = context.WithCancel(e.base) //nolint:fatcontext // not in a loop: an engine runs once
	e.c.mu.Unlock()
	if err := e.checkSuspects(ctx); err != nil {
		e.suspects.cancel()
		closing, cancel := context.WithTimeout(e.base, suspectTimeout)
		defer cancel()
		err = errors.Join(unlessStopped(ctx, err), stream.Close(closing))
		e.noteEnd(err)
		return err
	}
	e.note(lineStarted)
	err = e.receive(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	err = errors.Join(err, e.drain())
	e.stopLog()
	if err != nil {
		e.note(lineStoppedBadly, err)
	} else {
		e.note(lineStopped)
	}
	return err
}

// noteEnd logs the end of a run that never received; nothing where it was told to stop before.
func (e *engine) noteEnd(err error) {
	if err != nil {
		e.note(lineStoppedBadly, err)
	}
}

// receive is the receive loop. It returns when ctx ends or the stream is over.
func (e *engine) receive(ctx context.Context) error {
	var into [receiveBatch]Delivery
	for {
		n := e.awaitRoom(ctx)
		if n == 0 {
			return ctx.Err()
		}
		n, err := e.stream.Receive(ctx, into[:n])
		if err != nil {
			return err
		}
		e.take(into[:n])
		clear(into[:n])
	}
}

// awaitRoom waits until the limits leave room and returns for how many events, at most
// receiveBatch; 0 when ctx has ended. With work still waiting it lets the room grow to a batch
// first, so that a busy Consumer receives in batches instead of one by one.
func (e *engine) awaitRoom(ctx context.Context) int {
	e.c.mu.Lock()
	defer e.unlock(nil) // which also logs that a stall is over
	for ctx.Err() == nil {
		if n := e.roomNow(); n > 0 {
			e.full = false
			if e.stalled {
				e.logReceiving()
			}
			return n
		}
		e.starved = true
		e.noteFull()
		if e.batches.gathered > 0 {
			e.startBatches() // nothing can come to them before there is room
		}
		e.c.mu.Unlock()
		select {
		case <-e.room:
		case <-ctx.Done():
		}
		e.c.mu.Lock()
		e.starved = false
	}
	return 0
}

// noteFull notes since when the receive loop waits for room, unless it is a pause that it waits
// for.
func (e *engine) noteFull() {
	if e.starved && !e.full && !e.pausedNow() {
		e.full, e.fullAt = true, e.now()
		e.watchStall()
	}
}

// roomNow is awaitRoom's condition.
func (e *engine) roomNow() int {
	sub := &e.c.sub
	n := min(sub.MaxInFlight-e.all.count, receiveBatch)
	if n <= 0 || e.all.bytes >= sub.MaxInFlightBytes || e.tooManyRefused() || e.pausedNow() ||
		n < receiveBatch && n < sub.MaxInFlight && e.ready.count > 0 {
		return 0
	}
	return n
}

// signalRoom wakes the receive loop when there is room for it.
func (e *engine) signalRoom() {
	if e.starved && e.roomNow() > 0 {
		e.starved = false
		select {
		case e.room <- struct{}{}:
		default:
		}
	}
}

func (e *engine) pausedNow() bool { return e.c.paused || !e.pauseEnd.IsZero() }

// now reads the engine's clock.
func (e *engine) now() time.Duration { return time.Since(e.epoch) }

// take makes items of the deliveries and puts them into their lanes.
func (e *engine) take(deliveries []Delivery) {
	b := &batch{engine: e, received: time.Now()}
	attempts := make([]attempt, len(deliveries)) // handlers may keep their contexts, so these are not used again
	// What is needed of each event is read in loops of their own, without the lock: the processor
	// then waits for many events at once to come from the other core's cache, instead of for one
	// after the other.
	var sizes [receiveBatch]int
	var keys [receiveBatch]string
	var hashes [receiveBatch]uint64
	for i := range deliveries {
		sizes[i] = deliveries[i].size()
		if !e.c.sub.Unordered && deliveries[i].Malformed == nil {
			keys[i] = deliveries[i].orderKey()
		}
	}
	for i := range deliveries {
		if keys[i] != "" {
			hashes[i] = e.lanes.hash(keys[i])
		}
		e.leaseOf(deliveries[i].Lease)
	}
	e.c.mu.Lock()
	e.noteIdle()
	for i := range deliveries {
		it := e.free.get()
		it.d, it.batch, it.ctx, it.size, it.parkIndex = deliveries[i], b, &attempts[i], sizes[i], -1
		it.lease = &it.d.Lease.work
		e.judge(it)
		e.admit(it, keys[i], hashes[i])
	}
	e.unlock(e.wake())
}

// judge gives a delivery that no handler may see its verdict, and finds the suspects.
func (e *engine) judge(it *item) {
	switch most := e.c.o.MaxDeliveries; {
	case it.d.Malformed != nil:
		e.logMalformed(it)
		it.poison = &Poisoned{
			Malformed: it.d.Malformed, Reason: it.d.Malformed.Reason, Info: it.info(), At: it.batch.received, cause: poisonMalformed,
		}
	case most > 0 && it.d.Deliveries > most:
		it.suspect = &suspect{}
	}
}

// admit puts a new item where it waits for a worker. The lock is held.
func (e *engine) admit(it *item, key string, hash uint64) {
	e.seq++
	it.seq = e.seq
	e.c.total.received++
	switch {
	case it.lease.ended.Load():
		e.c.total.leaseLost++
		e.observeLater(it, ObservedLost, nil)
		e.free.put(it)
		return
	case it.lease.draining:
		e.giveBack(it, 0)
		e.free.put(it)
		return
	}
	it.state = itemWaiting
	if it.suspect != nil {
		e.suspects.count++
	}
	it.lease.unsettled++
	e.all.push(it)
	if key == "" {
		e.dispatch(it)
		return
	}
	l := e.lanes.lane(key, hash)
	l.push(it)
	if l.first == it {
		e.dispatch(it)
	} else if it.ahead.member != nil {
		e.exposeNext(it.ahead)
	}
}

// dispatch hands over an item that nothing holds up any more: to the workers, or to the poison
// queue, which needs none.
func (e *engine) dispatch(it *item) {
	if it.poison != nil {
		e.startPoison(it)
	} else {
		e.makeReadyInTurn(it)
	}
}

// leave takes an item out of everything, because it is settled, given back or lost, and lets the
// next of its lane go on. The lock is held.
func (e *engine) leave(it *item) {
	if it.state == itemReady {
		e.ready.remove(it)
	}
	e.park.remove(it)
	if it.refused() {
		e.poison.refused--
	}
	e.troubleOver(it)
	if it.suspect != nil {
		e.suspectLeaves(it)
	}
	it.state = itemGone
	e.all.remove(it)
	if e.pause.over != 0 && e.all.count == 0 {
		e.pauseOver() // nothing is left that could ask for another
	}
	if l := it.lane; l != nil {
		l.remove(it)
		if l.first == nil {
			e.lanes.remove(l)
		} else if l.first.state == itemWaiting {
			e.makeReady(l.first)
		}
	}
	it.lease.unsettled--
	e.releaseLease(it.lease)
	e.free.put(it)
	if e.full {
		e.fullAt = e.now() // it goes on, however slowly
	}
	e.signalRoom()
}

// giveBack settles an item that was not handled, when the lock is free.
func (e *engine) giveBack(it *item, delay time.Duration) {
	e.c.total.givenBack++
	e.c.attempts.keep(it, delay)
	if e.stopping && it.failure != nil && len(e.crashes) < maxCrashes {
		e.crashes = append(e.crashes, it.failure)
	}
	e.settleLater(it, Settlement{Action: GiveBack, Delay: delay}, seen{kind: ObservedGivenBack, attempt: it.attempts, delay: delay})
}

// settleLater settles an item that leaves, when the lock is free, and tells an observer why before
// that. Until it is done the item counts for its lease, which must not be released before.
func (e *engine) settleLater(it *item, how Settlement, s seen) {
	it.lease.unsettled++
	e.later = append(e.later, settling{it.d, how, it.lease, s})
}

// unlock frees the lock, wakes w, which may be nil, and then does what has gathered in later and
// after, in that order.
func (e *engine) unlock(w *worker) {
	if len(e.later) == 0 && len(e.after) == 0 {
		e.c.mu.Unlock()
		w.signal()
		return
	}
	later, after := e.later, e.after
	e.later, e.after = nil, nil
	e.flushing++
	e.c.mu.Unlock()
	w.signal()
	for i := range later {
		e.observe(&later[i].d, later[i].seen)
		e.settle(&later[i].d, later[i].s)
	}
	for _, f := range after {
		f()
	}
	e.c.mu.Lock()
	e.flushing--
	for i := range later {
		later[i].lease.unsettled--
		e.releaseLease(later[i].lease)
	}
	e.checkDrained()
	e.unlock(nil)
}
