package middleware

import (
	"context"
	"math"
	"slices"
)

// rate is the schedule of one value. Turns are given ahead of time, one interval after the other.
// What really begins is bounded by full alone, so a turn that comes late is moved, not granted.
type rate struct {
	// full is when as many events as the burst may begin at once, if none begins before.
	full float64
	// due is when the next turn would be without the burst, and without lag.
	due float64
	// lag is how much later than planned all turns are, because events began late.
	lag float64
	// front is the next turn for an event that came late for its own.
	front float64
	// turns are those of events that were put off.
	turns map[turnOf]turn
	// free are planned turns of events that are lost, in their order.
	free   []float64
	tidied float64
}

// turnOf is the event that a turn is reserved for.
type turnOf struct{ topic, group, source, id string }

type turn struct {
	at    float64
	moved bool            // at is the time itself; else it is the plan, and lag comes to it
	lease context.Context //nolint:containedctx // ends when the event is lost; nil outside of a Consumer
}

const (
	// lateTurn is after how long nobody expects an event any more that a turn was reserved for, in
	// nanoseconds.
	lateTurn = 60e9
	// tidyEvery is how often turns are looked through, at most, in nanoseconds.
	tidyEvery = 1e9
)

func newRate() *rate {
	return &rate{full: math.Inf(-1), front: math.Inf(-1), turns: map[turnOf]turn{}}
}

// turn returns when an event may begin. Where that is later than now, the turn is reserved, else
// the event has begun.
func (r *rate) turn(of turnOf, now, interval, slack float64) float64 {
	t, reserved := r.turns[of]
	if !reserved {
		t = turn{at: r.plan(now, interval, slack)}
	}
	begin := r.time(t)
	if begin > now {
		r.turns[of] = t
		return begin
	}
	// The turn has come. Sums of intervals may be wrong in parts of a nanosecond.
	if earliest := r.full - slack; earliest-now >= 1 {
		begin = max(r.front, earliest)
		r.front = begin + interval
		r.lag += interval // of all behind it
		r.turns[of] = turn{at: begin, moved: true, lease: t.lease}
		return begin
	}
	r.full = max(r.full, now) + interval
	r.lag += max(r.full-slack-begin-interval, 0)
	return begin
}

// plan returns the plan of a new turn: at once, that of a lost event, or behind all others.
func (r *rate) plan(now, interval, slack float64) float64 {
	r.due = max(r.due, now-r.lag)
	at := r.due - slack
	if at+r.lag > now {
		for len(r.free) > 0 {
			first := r.free[0]
			if r.free = r.free[1:]; first+r.lag > now && first < at {
				return first
			}
		}
	}
	r.due += interval
	return at
}

func (r *rate) time(t turn) float64 {
	if t.moved {
		return t.at
	}
	return t.at + r.lag
}

// tidy drops turns that nobody will come for, or came for.
func (r *rate) tidy(now float64) {
	r.tidied = now
	for of, t := range r.turns {
		at := r.time(t)
		if ended := t.lease != nil && t.lease.Err() != nil; !ended && at+lateTurn > now {
			continue
		}
		delete(r.turns, of)
		if at > now && !t.moved {
			i, _ := slices.BinarySearch(r.free, t.at)
			r.free = slices.Insert(r.free, i, t.at)
		}
	}
}
