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
	consumers, producers := c.watched()
	s := sums{}
	var asked []*lagEntry
	if !c.options.NoLag {
		asked = c.lags.ask(consumers)
	}
	for _, one := range consumers {
		c.addConsumer(s, one)
	}
	for _, one := range producers {
		c.addProducer(s, one)
	}
	for k, n := range c.sent.all() {
		s.add(SentMessages, float64(n), c.system, k.topic, "send", k.err)
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

func (c *Core) addConsumer(s sums, one *leat.Consumer) {
	is, sub := one.Stats(), one.Subscription()
	n := func(instrument int, value int64) { s.add(instrument, float64(value), c.system, sub.Topic, sub.Group) }
	s.add(ConsumedMessages, float64(is.Received), c.system, sub.Topic, sub.Group, "receive")
	n(Handled, is.Handled)
	n(Skipped, is.Skipped)
	n(Retries, is.Retried)
	n(PoisonReduced, is.PoisonReduced)
	n(GivenBack, is.GivenBack)
	n(LeaseLost, is.LeaseLost)
	n(InFlight, int64(is.InFlight))
	n(InFlightLimit, int64(sub.MaxInFlight))
	n(InFlightBytes, int64(is.InFlightBytes))
	s.most(InFlightAge, is.OldestAge.Seconds(), c.system, sub.Topic, sub.Group)
	n(Parked, int64(is.Parked))
	n(Running, int64(is.Running))
	n(PoisonRefused, int64(is.PoisonRefused))
	n(Suspects, int64(is.Suspects))
	one.PoisonCounts(func(reason, eventType string, events int64) {
		if c.options.NoType {
			eventType = ""
		}
		s.add(Poisoned, float64(events), c.system, sub.Topic, sub.Group, reason, eventType)
	})
	state := one.Health().State
	for _, each := range []leat.HealthState{leat.Healthy, leat.Paused, leat.Degraded, leat.Starting, leat.Stalled, leat.Stopped} {
		value := 0.0
		if each == state {
			value = 1
		}
		s.add(States, value, c.system, sub.Topic, sub.Group, each.String())
	}
}

func (c *Core) addProducer(s sums, one *leat.Producer) {
	is := one.Stats()
	s.add(Outcomes, float64(is.Stored), c.system, "stored")
	s.add(Outcomes, float64(is.Refused), c.system, "refused")
	s.add(Outcomes, float64(is.Unknown), c.system, "unknown")
	s.add(Unanswered, float64(is.Unanswered), c.system)
}

func (c *Core) addLag(s sums, e *lagEntry, lag leat.Lag) {
	if e.poison {
		s.most(PoisonLag, float64(lag.Events), c.system, e.topic, e.group)
		return
	}
	s.most(Lag, float64(lag.Events), c.system, e.topic, e.group)
	if lag.Oldest != leat.LagUnknown {
		s.most(LagAge, lag.Oldest.Seconds(), c.system, e.topic, e.group)
	}
}
