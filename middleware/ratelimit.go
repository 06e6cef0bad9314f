package middleware

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/ranges"
)

// RateLimitOptions are the options of [RateLimit]. The zero value works.
type RateLimitOptions struct {
	// Burst is how many events may begin at once after a time with fewer than the rate allows. 0
	// means 1: events are spaced evenly.
	Burst int
	// By gives each value of what it returns, such as a tenant, a rate of its own. It must be safe
	// for concurrent use. Nil means one rate for all events.
	By func(e leat.Event) string
	// MaxRates bounds how many values of By have a rate at a time, at about 200 bytes each. Beyond
	// that, new values share one rate until others have not been used for as long as their burst
	// takes to fill up. 0 means 10,000.
	MaxRates int
}

// RateLimit lets at most so many events per time begin, such as RateLimit(100, time.Second, nil).
// With a number of events below 1, or a time that is not positive, [leat.Run] refuses the Consumer.
// A nil o means the defaults.
//
// An event whose turn has not come is put off ([leat.Postpone]) to the time that is reserved for
// it. So no handler waits, no attempt counts, and the order of each key is kept. But the event is
// in flight: events that wait for one value of By may use up the Consumer's MaxInFlight, and hold
// up the others then.
//
// In any time t, at most Burst + t × the rate events begin. They are fewer where an event comes
// late for its turn, as timers are by a millisecond or so: with a Burst above 1 that is made up
// for. A turn is also lost where its event went back to the broker meanwhile. Each attempt counts,
// and so does an event that a middleware further in passes over. The rate is that of the Consumers
// that use this one Middleware: every process has its own.
//
// With a rate so low that nothing leaves the Consumer for StallAfter, while MaxInFlight is used up,
// its health says that it is stalled.
func RateLimit(events int, per time.Duration, o *RateLimitOptions) leat.Middleware {
	if o == nil {
		o = &RateLimitOptions{}
	}
	l := &rateLimit{by: o.By, most: cmp.Or(o.MaxRates, 10_000), rates: map[string]*rate{}}
	err := cmp.Or(
		ranges.Int("RateLimitOptions.Burst", o.Burst, 1, math.MaxInt32),
		ranges.Int("RateLimitOptions.MaxRates", o.MaxRates, 1, math.MaxInt32),
	)
	switch {
	case events < 1 || events > math.MaxInt32:
		err = errors.New("RateLimit was made with fewer than 1 event, or too many; use 1 to 2147483647")
	case per < 1 || per > longest:
		err = errors.New("RateLimit was made with a time out of its range; use a positive one of at most a year")
	}
	if err != nil {
		return unfit(err)
	}
	l.interval = float64(per) / float64(events)
	l.slack = l.interval * float64(max(o.Burst, 1)-1)
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if wait := l.wait(e, time.Now()); wait > 0 {
				return leat.Postpone(wait, errRate)
			}
			return next.Handle(ctx, e)
		})
	}
}

var errRate = errors.New("the rate limit is reached")

// rateLimit spaces events by a virtual schedule: each rate knows when the next event is due, and
// lets one begin early by as much as the burst allows.
type rateLimit struct {
	by       func(e leat.Event) string
	interval float64 // between two events, in nanoseconds
	slack    float64 // how much earlier than due an event may begin
	most     int

	mu     sync.Mutex
	began  time.Time // the zero of due
	rates  map[string]*rate
	others *rate // of values beyond most
	swept  float64
}

// rate is the schedule of one value.
type rate struct {
	due float64 // when the next event that comes may be due, in nanoseconds since began
	// turns are the times that are reserved for events that were put off.
	turns map[turnOf]float64
	// order has the same, by time, and what was used since.
	order []turn
}

// turnOf is the event that a turn is reserved for.
type turnOf struct{ source, id string }

type turn struct {
	of turnOf
	at float64
}

// lateTurn is after how long nobody expects an event any more that a turn was reserved for.
const lateTurn = float64(time.Minute)

// wait returns for how long e has to wait, and takes its turn where that is 0.
func (l *rateLimit) wait(e leat.Event, at time.Time) time.Duration {
	value := ""
	if l.by != nil {
		value = l.by(e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() {
		l.began = at
	}
	now := float64(at.Sub(l.began))
	r := l.rate(value, now)
	r.tidy(now)
	of := turnOf{e.Source(), e.ID()}
	begin, reserved := r.turns[of]
	if !reserved {
		r.due = max(r.due, now)
		begin = r.due - l.slack
		r.due += l.interval
	}
	// A part of a nanosecond is none, and Postpone's timer is never early.
	wait := time.Duration(math.Ceil(begin - now))
	switch {
	case wait <= 0:
		delete(r.turns, of)
		return 0
	case !reserved:
		if r.turns == nil {
			r.turns = map[turnOf]float64{}
		}
		r.turns[of] = begin
		r.order = append(r.order, turn{of, begin})
	}
	return wait
}

// rate returns the schedule of a value.
func (l *rateLimit) rate(value string, now float64) *rate {
	if r := l.rates[value]; r != nil {
		return r
	}
	if len(l.rates) >= l.most {
		l.sweep(now)
	}
	if len(l.rates) >= l.most {
		if l.others == nil {
			l.others = &rate{}
		}
		return l.others
	}
	r := &rate{}
	l.rates[value] = r
	return r
}

// sweep drops the schedules that a new one would not differ from. It looks at all of them, so not
// more often than every second, or than the values could have changed.
func (l *rateLimit) sweep(now float64) {
	if l.swept > 0 && now-l.swept < float64(time.Second) {
		return
	}
	l.swept = now
	for value, r := range l.rates {
		if r.tidy(now); r.due <= now && len(r.turns) == 0 {
			delete(l.rates, value)
		}
	}
}

// tidy drops turns that were used, and those that nobody came for.
func (r *rate) tidy(now float64) {
	n := 0
	for ; n < len(r.order); n++ {
		t := r.order[n]
		if at, ok := r.turns[t.of]; ok && at == t.at {
			if t.at+lateTurn > now {
				break
			}
			delete(r.turns, t.of)
		}
	}
	if r.order = r.order[n:]; len(r.order) == 0 {
		r.order = nil
	}
}
