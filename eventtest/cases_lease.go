package eventtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// leaseCases are the cases about leases, and about streams that come and go, at the raw level.
func leaseCases() []Case {
	return []Case{
		{
			Name: "lost-lease-ends", Level: Raw, Needs: []Need{NeedExpire},
			Rule:  "L4: a lost lease ends with a cause within 1 s, and its events are delivered again under another one",
			check: checkLostLeaseEnds,
		},
		{
			Name: "close-ends-leases", Level: Raw,
			Rule:  "Stream.Close: the stream's leases end, once and in order, that is without a cause",
			check: checkCloseEndsLeases,
		},
		{
			Name: "drain-awaits-release", Level: Raw, Needs: []Need{NeedOrder},
			Rule:  "R3: when a stream joins, a key moves to it only after the holder of its lease has released it",
			check: checkDrainAwaitsRelease,
		},
		{
			Name: "standby", Level: Raw,
			Rule: "Capabilities.Standby: where it is declared, one stream of a group receives and the others get nothing until it closes; " +
				"where it is not, the streams share the events",
			check: checkStandby,
		},
		{
			Name: "lease-ends-first", Level: Raw, Needs: []Need{NeedOrder},
			Rule:  "R3, L3: when a stream lets go of a key or closes, its lease has ended before another stream gets the key",
			check: checkLeaseEndsFirst,
		},
		{
			Name: "key-exclusion", Level: Raw, Needs: []Need{NeedOrder},
			Rule:  "R3: no two streams of a group hold deliveries of one key at the same time, while streams come and go",
			check: checkKeyExclusion,
		},
		{
			Name: "concurrent-use", Level: Raw,
			Rule:  "every method may be called at the same time: publishers, streams that come and go, settlements; nothing is lost",
			check: checkConcurrentUse,
		},
	}
}

// lossBound is how long a client may take to notice that a lease is lost.
const lossBound = time.Second

func checkLostLeaseEnds(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := append(r.series("k", r.ofKey(3)), r.series("", 2)...)
	r.mustPublish(b, topic, events...)
	old := rd.take(len(events))
	holders := map[*leat.Lease]*holder{}
	for _, d := range old {
		if holders[d.Lease] == nil {
			holders[d.Lease] = hold(d.Lease)
		}
	}
	expirer, _ := r.h.(Expirer)
	r.must(expirer.Expire(r.ctx, topic, groupA), "expiring")
	watch := r.stopwatch() // what the harness needed to bring it about is not the adapter's
	lasts := func(d leat.Delivery) bool { return !d.Lease.Ended() }
	r.eventually("the leases have ended", func() bool { return !slices.ContainsFunc(old, lasts) })
	if took := watch.took(); took > lossBound+r.operation {
		r.notef("the leases ended %v after they were lost", took)
	}
	for l, h := range holders {
		r.eventually("the holder was told", func() bool { n, _ := h.ended(); return n > 0 })
		if n, cause := h.ended(); n != 1 || cause == nil {
			r.notef("a lost lease ended %d times, with the cause %v", n, cause)
		}
		l.End(nil) // has no effect any more
	}
	again := rd.take(len(events))
	r.expectSet("after the lease was lost", again, events...)
	for _, d := range again {
		if d.Lease.Ended() {
			r.notef("%q was delivered under a lease that has ended", d.Event.ID())
		}
	}
}

func checkCloseEndsLeases(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	r.mustPublish(b, topic, append(r.spread("e", 5), r.event("e", ""))...)
	got := rd.take(6)
	holders := map[*leat.Lease]*holder{}
	for _, d := range got {
		if holders[d.Lease] == nil {
			holders[d.Lease] = hold(d.Lease)
		}
	}
	rd.settle(acked(), got[:3]...)
	rd.close()
	for _, h := range holders {
		if n, cause := h.ended(); n != 1 || cause != nil {
			r.notef("after Close a lease has ended %d times, with the cause %v", n, cause)
		}
	}
}

func checkDrainAwaitsRelease(r *run) {
	b, topic := r.start(groupA)
	one := r.join(b, topic, groupA)
	const keys = keysOfMany // one stream's share of them cannot be given up without asking
	events := r.spread("first", keys)
	r.mustPublish(b, topic, events...)
	mine := one.take(keys)
	holders, leases := map[*leat.Lease]*holder{}, map[string]*leat.Lease{}
	for _, d := range mine {
		leases[d.Event.Key()] = d.Lease
		if holders[d.Lease] == nil {
			holders[d.Lease] = hold(d.Lease)
		}
	}
	later := r.spread("second", keys)
	r.mustPublish(b, topic, later...)
	two := r.join(r.open(), topic, groupA)
	joined := time.Now()
	seconds := map[string]bool{}
	look := func(rd *reader, d time.Duration) {
		for _, d := range rd.poll(d) {
			if l := leases[d.Event.Key()]; rd == two && l != nil && !l.Ended() {
				r.notef("%q came to the stream that joined, while another one holds its key", d.Event.ID())
			}
			if !d.Lease.Ended() {
				seconds[nameOf(&d)] = true
				rd.settle(acked(), d)
			}
		}
	}
	r.awaitMove(holders, len(mine), func() { look(one, time.Millisecond) }, func() bool {
		return (len(seconds) == keys || r.withholds(2)) && time.Since(joined) > r.opts.Quiet
	})
	look(two, r.opts.Quiet/2)
	if len(holders) == len(mine) { // a broker knows of an ack before its client, whose lease ends with the answer
		clear(leases)
	}
	for i := range mine {
		one.settle(acked(), mine[i])
	}
	r.eventually("all second events came, to one stream or the other", func() bool {
		for _, h := range holders {
			h.release()
		}
		look(one, time.Millisecond)
		look(two, time.Millisecond)
		n := 0
		for _, e := range later {
			if seconds[e.ID()] {
				n++
			}
		}
		return n == keys
	})
	for _, e := range events {
		if seconds[e.ID()] {
			r.notef("%q was acked before its key was released, and came again", e.ID())
		}
	}
}

// awaitMove waits, with look, until keys are to move to a stream that has joined. A stream that
// stands by gets none, and neither does one while each of the n deliveries that are held has a
// lease of its own, as those of SQS do: awaitMove then waits for settled.
func (r *run) awaitMove(holders map[*leat.Lease]*holder, n int, look func(), settled func() bool) {
	moves := func() bool {
		for lease, h := range holders {
			if h.asked() || lease.Ended() {
				return true
			}
		}
		return false
	}
	if !r.standby() && len(holders) < n {
		r.eventually("keys are to move to the stream that joined", func() bool {
			look()
			return moves()
		})
		return
	}
	r.eventually("all second events came that can come", func() bool {
		look()
		return settled()
	})
	if moves() {
		r.notef("a stream joined that gets none of the keys which are held, and yet keys were asked for, or taken away")
	}
}

// custody knows which stream holds which key.
type custody struct {
	mu    sync.Mutex
	holds map[string]*heldKey
}

type heldKey struct {
	by    *member
	lease *leat.Lease
	count int
}

// take notes that a member got d. It reports whether the delivery counts, that is its lease has not
// ended, and whether another member holds the key. An adapter ends the old lease before it hands a
// key on, so what is seen under the lock is in order.
func (c *custody) take(m *member, d *leat.Delivery) (counts, conflict bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Lease.Ended() {
		return false, false
	}
	key := d.Event.Key()
	h := c.holds[key]
	if h == nil || h.count == 0 || h.lease.Ended() {
		c.holds[key] = &heldKey{by: m, lease: d.Lease, count: 1}
		return true, false
	}
	if h.by != m {
		return true, true
	}
	h.lease = d.Lease
	h.count++
	return true, false
}

// give notes that a member is about to settle d.
func (c *custody) give(m *member, d *leat.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.holds[d.Event.Key()]; h != nil && h.by == m && h.count > 0 {
		h.count--
	}
}

// member is a stream with a goroutine that receives from it, attaches to its leases and lets go of
// them when asked, as a Consumer does.
type member struct {
	r       *run
	stream  leat.Stream
	custody *custody // nil when nobody asks
	rand    *rand.Rand
	// giveBack is how many of 100 deliveries are given back.
	giveBack int
	acked    func(id string)
	leases   map[*leat.Lease]*holder
}

// live receives until ctx ends, then closes the stream with a part of the last batch unsettled.
func (m *member) live(ctx context.Context) {
	into := make([]leat.Delivery, 8)
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
		n, err := m.stream.Receive(short, into)
		cancel()
		if err != nil && leat.CodeOf(err) != leat.CodeCanceled {
			m.r.notef("Receive: %v", err)
			break
		}
		m.work(ctx, into[:max(0, min(n, len(into)))])
		for _, h := range m.leases {
			h.release() // nothing is held between two batches
		}
	}
	closing, cancel := context.WithTimeout(context.Background(), m.r.opts.Patience)
	defer cancel()
	if err := m.stream.Close(closing); err != nil {
		m.r.notef("closing a stream: %v", err)
	}
}

// work holds a batch for a moment and settles it, unless ctx has ended by then.
func (m *member) work(ctx context.Context, ds []leat.Delivery) {
	var mine []leat.Delivery
	for i := range ds {
		d := ds[i]
		if m.leases[d.Lease] == nil {
			m.leases[d.Lease] = hold(d.Lease)
		}
		if m.custody != nil {
			counts, conflict := m.custody.take(m, &d)
			if conflict {
				m.r.notef("%q came to one stream while another held its key %q", d.Event.ID(), d.Event.Key())
			}
			if !counts {
				continue
			}
		}
		mine = append(mine, d)
	}
	if len(mine) > 0 {
		pause(time.Duration(m.rand.IntN(400)) * time.Microsecond)
	}
	if ctx.Err() != nil && m.rand.IntN(2) == 0 {
		return // Close gives them back
	}
	for i := range mine {
		if m.custody != nil {
			m.custody.give(m, &mine[i])
		}
		if m.rand.IntN(100) < m.giveBack {
			m.stream.Settle(&mine[i], givenBack())
			continue
		}
		m.stream.Settle(&mine[i], acked())
		m.acked(mine[i].Event.ID())
	}
}

// crowd is a number of members that come and go until everything was acked.
type crowd struct {
	r     *run
	topic string
	total int

	custody  *custody
	giveBack int

	mu    sync.Mutex
	acks  map[string]int
	seeds atomic.Uint64
}

func (c *crowd) acked(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks[id]++
}

func (c *crowd) finished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acks) >= c.total
}

// run keeps n members going, each of which leaves after some milliseconds and is followed by
// another, until all events were acked.
func (c *crowd) run(b leat.Broker, n int) {
	// As long as the broker's work on a few generations of members takes.
	patience := c.r.opts.Patience + 10*c.r.operation
	ctx, cancel := context.WithTimeout(c.r.ctx, patience)
	defer cancel()
	first := c.r.rand.Uint64()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for !c.finished() && ctx.Err() == nil {
				m, err := c.member(ctx, b, first)
				if err != nil {
					c.r.notef("subscribing: %v", err)
					return
				}
				// On a slow broker it stays until it was given something, most likely.
				moments := time.Duration(5+m.rand.IntN(15)) * time.Millisecond
				stay, leave := context.WithTimeout(ctx, moments+time.Duration((1+m.rand.Float64())*float64(c.r.operation)))
				m.live(stay)
				leave()
			}
		})
	}
	wg.Wait()
	if !c.finished() {
		c.r.notef("%d of %d events were acked in %v", len(c.acks), c.total, patience)
	}
}

func (c *crowd) member(ctx context.Context, b leat.Broker, seed uint64) (*member, error) {
	sub := c.r.subscription(c.topic, groupA)
	sub.MaxInFlight = 100
	s, err := b.Subscribe(ctx, sub.WithDefaults())
	if err != nil {
		return nil, err
	}
	return &member{
		r: c.r, stream: s, custody: c.custody, giveBack: c.giveBack, acked: c.acked,
		rand: rand.New(rand.NewPCG(seed, c.seeds.Add(1))), leases: map[*leat.Lease]*holder{},
	}, nil
}

func checkKeyExclusion(r *run) {
	b, topic := r.start(groupA)
	const rounds, keys = 20, 20
	for i := range rounds {
		r.mustPublish(b, topic, r.spread(fmt.Sprint("round-", i), keys)...)
	}
	c := &crowd{r: r, topic: topic, total: rounds * keys, acks: map[string]int{}, custody: &custody{holds: map[string]*heldKey{}}}
	c.run(b, 3)
}

func checkConcurrentUse(r *run) {
	b, topic := r.start(groupA)
	const publishers, calls, each = 4, 25, 6
	c := &crowd{r: r, topic: topic, total: publishers * calls * each, acks: map[string]int{}, giveBack: 20}
	var wg sync.WaitGroup
	for p := range publishers {
		var all [calls][]leat.Event
		for i := range all {
			all[i] = r.spread(fmt.Sprintf("publisher-%d-%d", p, i), each)
		}
		wg.Go(func() {
			for _, events := range all {
				b.Publish(r.ctx, topic, events, func(i int, err error) {
					if err != nil {
						r.notef("publishing %q: %v", events[i].ID(), err)
					}
				})
				_ = b.Limits()
			}
		})
	}
	c.run(b, 3)
	wg.Wait()
}
