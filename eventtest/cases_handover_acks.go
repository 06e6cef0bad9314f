package eventtest

import (
	"time"

	"github.com/leatgo/leat"
)

// handoverAckCases are about what was settled when a key goes to another stream.
func handoverAckCases() []Case {
	return []Case{{
		Name: "handover-keeps-acks", Level: Raw, Needs: []Need{NeedOrder},
		Rule:  "T1, R3: what is acked while its key is asked for is not delivered to the stream that gets the key, what is given back is",
		check: checkHandoverKeepsAcks,
	}}
}

// checkHandoverKeepsAcks settles what a stream holds when its keys are to move to one that joined,
// and not before, so that an adapter has to store the acks as part of the hand-over. Where the
// other one stands by, it takes over when the first closes.
func checkHandoverKeepsAcks(r *run) {
	b, topic := r.start(groupA)
	one := r.join(b, topic, groupA)
	events := r.spread("handed", keysOfMany)
	r.mustPublish(b, topic, events...)
	mine := one.take(len(events))
	holders := map[*leat.Lease]*holder{}
	for i := range mine {
		if holders[mine[i].Lease] == nil {
			holders[mine[i].Lease] = hold(mine[i].Lease)
		}
	}
	two := r.join(r.open(), topic, groupA)
	if !r.standby() && len(holders) < len(mine) { // with a lease each, a key goes when nothing of it is held
		r.eventually("keys are to move to the stream that joined", func() bool { return anyAsked(holders) })
	}
	acks, open := map[string]*holder{}, map[string]bool{}
	for i := range mine {
		if d := &mine[i]; i%4 == 3 {
			one.settle(givenBack(), *d)
			open[nameOf(d)] = true
		} else {
			one.settle(acked(), *d)
			acks[nameOf(d)] = holders[d.Lease]
		}
	}
	readers := []*reader{one, two}
	if r.standby() {
		one.close()
		readers = []*reader{two}
	}
	look := func() {
		for _, h := range holders {
			h.release()
		}
		for _, rd := range readers {
			for _, d := range rd.poll(time.Millisecond) {
				// A lease that the broker took away may have been lost before the ack.
				if h := acks[nameOf(&d)]; h != nil && !h.lost() {
					r.notef("%q was acked while its key was asked for, and came again", nameOf(&d))
				}
				if !d.Lease.Ended() {
					delete(open, nameOf(&d))
					rd.settle(acked(), d)
				}
			}
		}
	}
	r.eventually("what was given back came again", func() bool {
		look()
		return len(open) == 0
	})
	last := r.spread("last", keysOfMany) // they come after what is there of their keys
	for _, e := range last {
		open[e.ID()] = true
	}
	r.mustPublish(b, topic, last...)
	r.eventually("what was published after the hand-over came", func() bool {
		look()
		return len(open) == 0
	})
}

// anyAsked reports whether a release of any lease is awaited.
func anyAsked(holders map[*leat.Lease]*holder) bool {
	for _, h := range holders {
		if h.asked() {
			return true
		}
	}
	return false
}

// lost reports whether the lease was taken away.
func (h *holder) lost() bool {
	_, cause := h.ended()
	return cause != nil
}
