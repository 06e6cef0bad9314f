package telemetry

import (
	"context"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// mostValues bounds the types of events, the kinds of errors, and the groups on topics, that one
// handler is timed by. All of them may come from an event: a replay takes topic and group from it.
const mostValues = 100

// Timer times the attempts of one handler, for whatever subscriptions and replays it serves.
type Timer struct {
	c      *Core
	known  atomic.Pointer[knownSeries]
	last   [2]atomic.Pointer[keyedSeries] // of took and of age, those that were used last, which are often the next
	ageOff bool
}

// knownSeries is replaced when one is added.
type knownSeries struct {
	took, age map[timerKey]*keyedSeries
	groups    map[[2]string]bool // by topic and group
	types     map[string]bool
	errors    map[string]bool
}

type timerKey struct{ topic, group, eventType, err string }

// keyedSeries is a series with what it is known by.
type keyedSeries struct {
	key    timerKey
	series Series
}

// NewTimer returns a Timer. With ages it also takes the age of each event that a handler has
// handled.
func (c *Core) NewTimer(ages bool) *Timer {
	t := &Timer{c: c, ageOff: !ages}
	t.known.Store(&knownSeries{})
	return t
}

// Took notes that an attempt took so long, with its outcome; see [OutcomeOf].
func (t *Timer) Took(ctx context.Context, info *leat.Info, e *leat.Event, took time.Duration, outcome string) {
	k := timerKey{topic: info.Topic, group: info.Group, err: outcome}
	if !t.c.options.NoType {
		k.eventType = e.Type()
		if info.Skipped {
			k.eventType = Other
		}
	}
	t.seriesOf(ProcessDuration, k)(ctx, took.Seconds())
	if t.ageOff || outcome != "" || info.Skipped {
		return
	}
	if at := e.Time(); !at.IsZero() {
		t.seriesOf(EventAge, k)(ctx, max(time.Since(at), 0).Seconds())
	}
}

func (k *knownSeries) of(instrument int) map[timerKey]*keyedSeries {
	if instrument == EventAge {
		return k.age
	}
	return k.took
}

// seriesOf returns the series of an instrument.
func (t *Timer) seriesOf(instrument int, k timerKey) Series {
	last := &t.last[0]
	if instrument == EventAge {
		last = &t.last[1]
	}
	if s := last.Load(); s != nil && s.key == k {
		return s.series
	}
	s := t.find(instrument, k)
	last.Store(s)
	return s.series
}

// find looks a series up, and makes it where there is none. Groups, types and errors that are too
// many share one.
func (t *Timer) find(instrument int, k timerKey) *keyedSeries {
	for {
		old := t.known.Load()
		if s := old.of(instrument)[k]; s != nil {
			return s
		}
		bounded := k
		if !old.groups[[2]string{k.topic, k.group}] && len(old.groups) >= mostValues {
			bounded.topic, bounded.group = Other, Other
		}
		if !old.types[k.eventType] && len(old.types) >= mostValues {
			bounded.eventType = Other
		}
		if !old.errors[k.err] && len(old.errors) >= mostValues {
			bounded.err = Other
		}
		if s := old.of(instrument)[bounded]; s != nil {
			return s
		}
		fresh, s := old.with(t.c, instrument, bounded)
		if t.known.CompareAndSwap(old, fresh) {
			return s
		}
	}
}

// with returns a copy that has one series more. It clones the key, which has pieces of an event.
func (k *knownSeries) with(c *Core, instrument int, add timerKey) (*knownSeries, *keyedSeries) {
	fresh := &knownSeries{
		took: copied(k.took), age: copied(k.age), groups: copied(k.groups), types: copied(k.types), errors: copied(k.errors),
	}
	add = timerKey{strings.Clone(add.topic), strings.Clone(add.group), strings.Clone(add.eventType), strings.Clone(add.err)}
	fresh.groups[[2]string{add.topic, add.group}] = true
	fresh.types[add.eventType], fresh.errors[add.err] = true, true
	s := &keyedSeries{key: add}
	topic, group, eventType := Bounded(add.topic), Bounded(add.group), Bounded(add.eventType)
	if instrument == EventAge {
		s.series = c.series(EventAge, Labels{c.system, topic, group, eventType})
	} else {
		s.series = c.series(ProcessDuration, Labels{c.system, topic, group, "process", eventType, add.err})
	}
	fresh.of(instrument)[add] = s
	return fresh, s
}

func copied[K comparable, V any](m map[K]V) map[K]V {
	fresh := make(map[K]V, len(m)+1)
	maps.Copy(fresh, m)
	return fresh
}
