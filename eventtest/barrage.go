package eventtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// barrage publishes events of several keys all the time, each event once, and notes what became of
// each.
type barrage struct {
	r         *run
	broker    leat.Broker
	topic     string
	keys      []string
	stopped   chan struct{}
	work      sync.WaitGroup
	isolation atomic.Int64 // odd while the client is isolated for certain

	mu        sync.Mutex
	events    map[string]*volley // by id
	confirmed int
	open      int // events without an outcome

	stored []string // ids, in the order in which they came
}

// volley is one event of a barrage.
type volley struct {
	key       string
	seq       int   // among the events of its key
	isolation int64 // of the barrage, when it was published
	answers   int   // calls of done
	err       error
}

// A barrage has publishers of two kinds, which own two keys each: those that do not wait for
// answers, and those that wait for a short time.
const (
	eagerPublishers     = 2
	impatientPublishers = 2
	mostUnderWay        = 64 // events of an eager publisher
	mostOfACall         = 8
	betweenCalls        = 3 * time.Millisecond // at most; it keeps what has to be read in the end small
)

func (r *run) newBarrage() *barrage {
	b := &barrage{r: r, stopped: make(chan struct{}), events: map[string]*volley{}}
	b.broker, b.topic = r.start(groupA)
	return b
}

// start begins to publish, until stop, or until the case is over.
func (b *barrage) start() {
	ctx, cancel := context.WithCancel(b.r.ctx)
	b.r.cleanup(func() {
		cancel()
		b.work.Wait()
	})
	for i := range eagerPublishers {
		p := b.publisher(fmt.Sprint("eager-", i))
		b.work.Go(func() { p.publishEagerly(ctx) })
	}
	for i := range impatientPublishers {
		p := b.publisher(fmt.Sprint("impatient-", i))
		b.work.Go(func() { p.publishImpatiently(ctx) })
	}
}

// stop ends publishing and waits until every event has its outcome.
func (b *barrage) stop() {
	close(b.stopped)
	b.r.eventually("every publish has returned and every event has its outcome, with the faults over", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.open == 0
	})
	b.work.Wait()
}

// awaitProgress waits until an event is confirmed that was published from now on.
func (b *barrage) awaitProgress() {
	b.mu.Lock()
	before := b.confirmed + b.open
	b.mu.Unlock()
	b.r.eventually("publishes are confirmed again, with the fault over", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.confirmed > before
	})
}

// awaitUnderWay waits until an event has no outcome yet.
func (b *barrage) awaitUnderWay() {
	b.r.eventually("an event is under way", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.open > 0
	})
}

// barragePublisher publishes the events of its keys one call after the other.
type barragePublisher struct {
	b    *barrage
	rand *rand.Rand
	keys []string
	next []int // by key
}

func (b *barrage) publisher(name string) *barragePublisher {
	p := &barragePublisher{b: b, keys: []string{name + "-x", name + "-y"}, next: make([]int, 2)}
	p.rand = rand.New(rand.NewPCG(b.r.opts.Seed, uint64(len(b.keys))))
	b.keys = append(b.keys, p.keys...)
	return p
}

// call makes the events of a call.
func (p *barragePublisher) call() []leat.Event {
	b := p.b
	events := make([]leat.Event, 1+p.rand.IntN(mostOfACall))
	b.mu.Lock()
	defer b.mu.Unlock()
	isolation := b.isolation.Load()
	for i := range events {
		k := p.rand.IntN(len(p.keys))
		e, err := leat.NewEvent("test.v1", &leat.EventOptions{
			ID: fmt.Sprintf("%s-%d", p.keys[k], p.next[k]), Source: "/eventtest", Key: p.keys[k],
		})
		if err != nil {
			b.r.notef("making an event: %v", err)
		}
		b.events[e.ID()] = &volley{key: p.keys[k], seq: p.next[k], isolation: isolation}
		b.open++
		p.next[k]++
		events[i] = e
	}
	return events
}

// again reports whether to publish another call, and lets a little time pass before.
func (p *barragePublisher) again(ctx context.Context) bool {
	pause(time.Duration(p.rand.Int64N(int64(betweenCalls))))
	select {
	case <-p.b.stopped:
		return false
	case <-ctx.Done():
		return false
	default:
		return true
	}
}

// publishEagerly publishes without waiting for answers, as long as not too many are missing.
func (p *barragePublisher) publishEagerly(ctx context.Context) {
	slots := make(chan struct{}, mostUnderWay)
	for p.again(ctx) {
		events := p.call()
		for range events {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		p.b.broker.Publish(ctx, p.b.topic, events, func(i int, err error) {
			if p.b.answer(events[i].ID(), err) {
				<-slots
			}
		})
	}
}

// publishImpatiently publishes by a Producer whose caller does not wait for long.
func (p *barragePublisher) publishImpatiently(ctx context.Context) {
	producer := leat.NewProducer(p.b.broker, nil)
	least := p.b.r.brief() / 4
	for p.again(ctx) {
		events := p.call()
		limited, cancel := context.WithTimeout(ctx, least+time.Duration(p.rand.Int64N(int64(3*least)+1)))
		err := producer.Publish(limited, p.b.topic, events...)
		cancel()
		failed := map[string]error{}
		if e, ok := errors.AsType[*leat.PublishError](err); ok {
			for _, f := range e.Failures {
				failed[f.Event.ID()] = f.Err
			}
		} else if err != nil {
			p.b.r.notef("a Producer's publish returned %v, want a *leat.PublishError", err)
		}
		for _, e := range events {
			p.b.answer(e.ID(), failed[e.ID()])
		}
	}
}

// answer notes the outcome of an event, and reports whether it is the first.
func (b *barrage) answer(id string, err error) bool {
	isolation := b.isolation.Load()
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.events[id]
	if v.answers++; v.answers > 1 {
		return false
	}
	v.err = err
	b.open--
	if err != nil {
		return true
	}
	b.confirmed++
	if isolation%2 == 1 && isolation == v.isolation {
		b.r.notef("%q was published and confirmed while the client was isolated: the harness's Isolate lets it through", id)
	}
	return true
}

// judge compares what is stored with the outcomes, and the order with that of the publishes where
// what is stored was read in order.
func (b *barrage) judge(ordered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var refused, twice, order, unknown []string
	newest, times := map[string]*volley{}, map[string]int{}
	for _, id := range b.stored {
		v := b.events[id]
		if times[id]++; times[id] > 1 {
			twice = append(twice, id)
			continue
		}
		switch {
		case v == nil:
			unknown = append(unknown, id)
		case v.err == nil:
			if before := newest[v.key]; before != nil && before.seq > v.seq {
				order = append(order, fmt.Sprintf("%s after number %d", id, before.seq))
			} else {
				newest[v.key] = v
			}
		case leat.CodeOf(v.err) != leat.CodeUnknown:
			refused = append(refused, fmt.Sprintf("%s (%v)", id, v.err))
		}
	}
	var missing, repeated, uncoded []string
	for id, v := range b.events {
		if v.err == nil && times[id] == 0 {
			missing = append(missing, id)
		}
		if v.answers > 1 {
			repeated = append(repeated, id)
		}
		if _, ok := errors.AsType[*leat.Error](v.err); v.err != nil && !ok {
			uncoded = append(uncoded, fmt.Sprintf("%s (%v)", id, v.err))
		}
	}
	b.note("were reported as refused, and are stored", refused)
	b.note("were confirmed, and are not stored", missing)
	b.note("are stored more than once, and were published once", twice)
	if ordered {
		b.note("are confirmed and stored in another order than they were published", order)
	}
	b.note("are stored, and were not published", unknown)
	b.note("were reported more than once", repeated)
	b.note("have an outcome that is no *leat.Error", uncoded)
}

// note fails the case where there are such events.
func (b *barrage) note(what string, events []string) {
	if len(events) > 0 {
		b.r.notef("%d of %d events %s, such as %s", len(events), len(b.events), what, strings.Join(events[:min(3, len(events))], ", "))
	}
}
