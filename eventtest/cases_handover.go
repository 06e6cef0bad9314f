package eventtest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// keysOfMany are so many keys that one stream's share of them has several leases, where an adapter
// has more than one.
const keysOfMany = 200

// handover is a stream that takes over from another one, and the leases under which that one holds
// each key.
type handover struct {
	*reader

	old map[string]*leat.Lease // by key; not changed while watch runs

	mu   sync.Mutex
	seen map[string]bool // ids of what came
}

// watch receives and acks until ctx ends. Whatever comes while the lease of its key's former holder
// lasts breaks the rule.
func (h *handover) watch(ctx context.Context) {
	holders := map[*leat.Lease]*holder{}
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		ds, err := h.receive(short, batch)
		cancel()
		if err != nil && leat.CodeOf(err) != leat.CodeCanceled {
			h.r.notef("Receive: %v", err)
			return
		}
		for i := range ds {
			if l := h.old[ds[i].Event.Key()]; l != nil && !l.Ended() {
				h.r.notef("%q came to one stream before the lease of its key had ended in another one", nameOf(&ds[i]))
			}
			if holders[ds[i].Lease] == nil {
				holders[ds[i].Lease] = hold(ds[i].Lease)
			}
		}
		h.settle(acked(), ds...)
		h.note(ds)
		for _, held := range holders {
			held.release()
		}
	}
}

func (h *handover) note(ds []leat.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range ds {
		if !ds[i].Lease.Ended() {
			h.seen[nameOf(&ds[i])] = true
		}
	}
}

func (h *handover) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.seen)
}

// checkLeaseEndsFirst lets a stream take over what another one holds, first by drains and then by
// Close. The holder of the leases is slow when the first of them ends, so that an adapter that
// hands keys on before it has ended all of their leases is seen to do so. A lease that the broker
// takes away is not looked at: the client that lost it may learn of that later than the one that
// got the key.
func checkLeaseEndsFirst(r *run) {
	b, topic := r.start(groupA)
	one := r.join(b, topic, groupA)
	events := r.spread("held", keysOfMany)
	r.mustPublish(b, topic, events...)
	two := &handover{old: map[string]*leat.Lease{}, seen: map[string]bool{}}
	var slow atomic.Bool
	var holders []*holder
	known := map[*leat.Lease]bool{}
	for _, d := range one.take(len(events)) {
		two.old[d.Event.Key()] = d.Lease
		if !known[d.Lease] {
			known[d.Lease] = true
			holders = append(holders, holdUntil(d.Lease, func() {
				if slow.Swap(false) {
					pause(r.brief())
				}
			}))
		}
	}
	two.reader = r.join(r.open(), topic, groupA)
	ctx, stop := context.WithCancel(r.ctx)
	var watching sync.WaitGroup
	watching.Go(func() { two.watch(ctx) })
	defer watching.Wait()
	defer stop()
	slow.Store(true)
	two.letGo(holders)
	slow.Store(true)
	one.close()
	r.eventually("everything came to the other stream", func() bool { return two.count() == len(events) })
}

// letGo releases the leases that are to be drained: one, then, when its keys came or do not come
// alone, the others.
func (h *handover) letGo(holders []*holder) {
	await := func(d time.Duration) { // the first delivery
		for deadline := time.Now().Add(d); h.count() == 0 && time.Now().Before(deadline); {
			pause(time.Millisecond)
		}
	}
	asked := func() int { return slices.IndexFunc(holders, (*holder).asked) }
	for deadline := time.Now().Add(h.r.opts.Quiet); asked() < 0; pause(time.Millisecond) {
		if time.Now().After(deadline) {
			return // the new stream only stands by
		}
	}
	holders[asked()].release()
	await(h.r.brief())
	for _, other := range holders {
		other.release()
	}
	await(h.r.opts.Quiet)
}
