package middleware

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/aside"
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
// in flight, and never left to a broker that can delay: events that wait for one value of By may
// use up the Consumer's MaxInFlight, and hold up the others then.
//
// In any time t, at most Burst + t × the rate events begin, also after a pause or another hold-up:
// where that leaves no room for an event that comes late for its turn, the event gets a later one,
// and so do those behind it. So a late event costs the time that it is late, as timers are by a
// millisecond or so, beyond what a Burst above 1 makes up for. The turn of an event that is lost
// goes to another; at the latest after a minute, the turn of one that went back to the broker is
// lost. Each attempt counts, and so does an event that a middleware further in passes over. The
// rate is that of the Consumers that use this one Middleware: every process has its own.
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
			if ctx.Value(aside.CrashKey{}) != nil {
				return next.Handle(ctx, e) // the attempt has had its turn
			}
			if wait := l.take(ctx, e, time.Now()); wait > 0 {
				return leat.Postpone(wait, aside.ErrTurn)
			}
			return next.Handle(ctx, e)
		})
	}
}

// rateLimit spaces events by a virtual schedule: each rate knows when the next event is due, and
// lets one begin early by as much as the burst allows.
type rateLimit struct {
	by       func(e leat.Event) string
	interval float64 // between two events, in nanoseconds
	slack    float64 // how much earlier than due an event may begin
	most     int

	mu     sync.Mutex
	began  time.Time // the zero of all times, which are in nanoseconds since
	rates  map[string]*rate
	others *rate // of values beyond most
	swept  float64
}

// take returns for how long e has to wait, and takes its turn where that is 0.
func (l *rateLimit) take(ctx context.Context, e leat.Event, at time.Time) time.Duration {
	value := ""
	if l.by != nil {
		value = l.by(e)
	}
	info, _ := leat.InfoFrom(ctx)
	of := turnOf{info.Topic, info.Group, e.Source(), e.ID()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() {
		l.began = at
	}
	now := float64(at.Sub(l.began))
	r := l.rate(value, now)
	if now-r.tidied >= tidyEvery {
		r.tidy(now)
	}
	begin := r.turn(of, now, l.interval, l.slack)
	if begin <= now {
		delete(r.turns, of)
		return 0
	}
	if t := r.turns[of]; t.lease == nil {
		t.lease, _ = ctx.Value(aside.LeaseKey{}).(context.Context)
		r.turns[of] = t
	}
	// A part of a nanosecond is none, and Postpone's timer is never early. A wait of more than a
	// time.Duration ends early: the event comes again.
	return time.Duration(min(math.Ceil(begin-now), float64(longest)))
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
			l.others = newRate()
		}
		return l.others
	}
	r := newRate()
	l.rates[value] = r
	return r
}

// sweep drops the schedules that a new one would not differ from. It looks at all of them, so not
// more often than every second, or than the values could have changed.
func (l *rateLimit) sweep(now float64) {
	if l.swept > 0 && now-l.swept < tidyEvery {
		return
	}
	l.swept = now
	for value, r := range l.rates {
		if r.tidy(now); len(r.turns) == 0 && r.full <= now && r.due+r.lag <= now {
			delete(l.rates, value)
		}
	}
}
