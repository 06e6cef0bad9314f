package telemetry

import (
	"cmp"
	"context"
	"slices"

	"github.com/leatgo/leat"
)

// Point is the value of an instrument that is read when it is collected.
type Point struct {
	Instrument int
	Labels     Labels
	Value      float64
}

// sums adds up what several consumers or producers have under the same labels.
type sums map[Point]float64 // the Value of a key is 0

func (s sums) add(instrument int, value float64, labels ...string) {
	s[pointOf(instrument, labels)] += value
}

// most keeps the largest value.
func (s sums) most(instrument int, value float64, labels ...string) {
	p := pointOf(instrument, labels)
	s[p] = max(s[p], value)
}

func pointOf(instrument int, labels []string) Point {
	p := Point{Instrument: instrument}
	for i, label := range labels {
		p.Labels[i] = Bounded(label)
	}
	return p
}

// Collect returns the present values in the order of the table, at most one for an instrument and
// labels. It asks the broker for lag, in the background, and waits for that no longer than ctx and
// a second: then what was known before counts, or nothing.
func (c *Core) Collect(ctx context.Context) []Point {
	consumers, producers, s := c.watched()
	var asked []*lagEntry
	if !c.options.NoLag {
		asked = c.lags.ask(consumers)
	}
	for _, one := range consumers {
		c.addCounts(s, one)
		c.addPresent(s, one)
	}
	for _, one := range producers {
		c.addOutcomes(s, one)
		s.add(Unanswered, float64(one.Stats().Unanswered), c.system)
	}
	for k, n := range c.sent.counts.all() {
		s.add(SentMessages, float64(n.value.events.Load()), c.system, k.topic, "send", k.err)
	}
	c.lags.await(ctx, asked, func(e *lagEntry, lag leat.Lag) { c.addLag(s, e, lag) })
	points := make([]Point, 0, len(s))
	for p, v := range s {
		p.Value = v
		points = append(points, p)
	}
	slices.SortFunc(points, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Instrument, b.Instrument), slices.Compare(a.Labels[:], b.Labels[:]))
	})
	return points
}

// addCounts adds the counts of a Consumer, which only rise.
func (c *Core) addCounts(s sums, one *leat.Consumer) {
	is, sub := one.Stats(), one.Subscription()
	n := func(instrument int, value int64) { s.add(instrument, float64(value), c.system, sub.Topic, sub.Group) }
	s.add(ConsumedMessages, float64(is.Received), c.system, sub.Topic, sub.Group, "receive")
	n(Handled, is.Handled)
	n(Skipped, is.Skipped)
	n(Retries, is.Retried)
	n(PoisonReduced, is.PoisonReduced)
	n(GivenBack, is.GivenBack)
	n(LeaseLost, is.LeaseLost)
	one.PoisonCounts(func(reason, eventType string, events int64) {
		if c.options.NoType {
			eventType = ""
		}
		s.add(Poisoned, float64(events), c.system, sub.Topic, sub.Group, reason, eventType)
	})
}

// addPresent adds how a Consumer is now.
func (c *Core) addPresent(s sums, one *leat.Consumer) {
	is, sub := one.Stats(), one.Subscription()
	n := func(instrument, value int) { s.add(instrument, float64(value), c.system, sub.Topic, sub.Group) }
	n(InFlight, is.InFlight)
	n(InFlightLimit, sub.MaxInFlight)
	n(InFlightBytes, is.InFlightBytes)
	s.most(InFlightAge, is.OldestAge.Seconds(), c.system, sub.Topic, sub.Group)
	n(Parked, is.Parked)
	n(Running, is.Running)
	n(PoisonRefused, is.PoisonRefused)
	n(Suspects, is.Suspects)
	state, ok := stateOf(one)
	if !ok {
		return
	}
	for _, each := range []leat.HealthState{leat.Healthy, leat.Paused, leat.Degraded, leat.Starting, leat.Stalled, leat.Stopped} {
		value := 0.0
		if each == state {
			value = 1
		}
		s.add(States, value, c.system, sub.Topic, sub.Group, each.String())
	}
}

// stateOf asks a Consumer, and so its broker and its stream, whose panic must not end the process.
func stateOf(one *leat.Consumer) (state leat.HealthState, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return one.Health().State, true
}

// addOutcomes adds the counts of a Producer, which only rise.
func (c *Core) addOutcomes(s sums, one *leat.Producer) {
	is := one.Stats()
	s.add(Outcomes, float64(is.Stored), c.system, "stored")
	s.add(Outcomes, float64(is.Refused), c.system, "refused")
	s.add(Outcomes, float64(is.Unknown), c.system, "unknown")
}

// ageless is the system that tells no age of a group that is behind. The 0 of one that is not would
// look like an age.
const ageless = "kafka"

func (c *Core) addLag(s sums, e *lagEntry, lag leat.Lag) {
	if e.poison {
		s.most(PoisonLag, float64(lag.Events), c.system, e.topic, e.group)
		return
	}
	s.most(Lag, float64(lag.Events), c.system, e.topic, e.group)
	if lag.Oldest != leat.LagUnknown && c.system != ageless {
		s.most(LagAge, lag.Oldest.Seconds(), c.system, e.topic, e.group)
	}
}
