package telemetry

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// mostValues bounds the types of events, the kinds of errors, and the groups on topics, that one
// handler is timed by. All of them may come from an event: a replay takes topic and group from it.
const mostValues = 100

// Timer times the attempts of one handler, for whatever subscriptions and replays it serves.
type Timer struct {
	c      *Core
	clock  clock
	ages   bool
	series Cache[timerKey, timerSeries]
	groups First[[2]string]
	types  First[string]
	errors First[string]
}

type timerKey struct{ topic, group, eventType, err string }

// timerSeries are the series of the events of a key.
type timerSeries struct{ took, age Series }

// NewTimer returns a Timer. With ages it also takes the age of each event that a handler has
// handled.
func (c *Core) NewTimer(ages bool) *Timer {
	t := &Timer{
		c: c, clock: clock{began: time.Now()}, ages: ages,
		groups: FirstGroups(mostValues), types: FirstTexts(mostValues), errors: FirstTexts(mostValues),
	}
	t.series.Bound, t.series.Make = t.bound, t.make
	return t
}

// Took notes an attempt.
func (t *Timer) Took(ctx context.Context, info *leat.Info, a *Attempt) {
	k := timerKey{topic: info.Topic, group: info.Group, err: a.Outcome}
	if !t.c.options.NoType {
		k.eventType = a.event.Type()
		if info.Skipped {
			k.eventType = Other
		}
	}
	series := t.series.Of(k)
	took := a.ended - a.began
	series.took(ctx, took.Seconds())
	if !t.ages || a.Outcome != "" || info.Skipped {
		return
	}
	if age, ok := t.Age(a); ok {
		series.age(ctx, max(age+took, 0).Seconds())
	}
}

// bound replaces groups, types and errors that are too many.
func (t *Timer) bound(k timerKey) timerKey {
	pair := t.groups.Of([2]string{k.topic, k.group})
	return timerKey{pair[0], pair[1], t.types.Of(k.eventType), t.errors.Of(k.err)}
}

func (t *Timer) make(k timerKey) timerSeries {
	topic, group, eventType := Bounded(k.topic), Bounded(k.group), Bounded(k.eventType)
	s := timerSeries{took: t.c.series(ProcessDuration, Labels{t.c.system, topic, group, "process", eventType, k.err})}
	if t.ages && k.err == "" {
		s.age = t.c.series(EventAge, Labels{t.c.system, topic, group, eventType})
	}
	return s
}
