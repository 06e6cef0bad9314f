package eventtest

import (
	"fmt"

	"github.com/leatgo/leat"
)

// invariant is something that must hold when a run is over.
type invariant struct {
	name  string
	check func() error
}

// Invariant adds a condition that must hold at the end of the run, when every event has been
// delivered and nothing is left to do.
func (x *Exploration) Invariant(name string, check func() error) {
	x.invariants = append(x.invariants, invariant{name, check})
}

// ExactlyOnce adds the invariant that the effect took place once for every stored event that of
// accepts, and at most once for every other. With a nil of, it only finds effects that took place
// twice. Two copies of an event, with the same source and id, are one event.
func (x *Exploration) ExactlyOnce(effect string, of func(e leat.Event) bool) {
	x.Invariant("exactly once: "+effect, func() error {
		for _, id := range x.c.firsts {
			if lines := x.c.effects[id]; id.effect == effect && len(lines) > 1 {
				return fmt.Errorf("effect %s of event %s took place %d times, in lines %v", effect, x.c.names[id.event], len(lines), lines)
			}
		}
		if of == nil {
			return nil
		}
		for _, t := range x.c.topics {
			for _, s := range t.log {
				if of(s.event) && len(x.c.effects[effectID{idOf(s.event), effect}]) == 0 {
					return fmt.Errorf("effect %s of event %s did not take place", effect, s.name)
				}
			}
		}
		return nil
	})
}

// OrderPerKey adds the invariant that the effect took place, for the first time, in the order in
// which the events of a topic and key were stored.
func (x *Exploration) OrderPerKey(effect string) {
	x.Invariant("order per key: "+effect, func() error {
		for _, t := range x.c.topics {
			if err := x.checkOrder(t, effect); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *Exploration) checkOrder(t *topic, effect string) error {
	type newest struct {
		line int
		name string
	}
	last := map[string]newest{}
	done := map[eventID]bool{}
	for _, s := range t.log {
		lines := x.c.effects[effectID{idOf(s.event), effect}]
		if s.event.Key() == "" || len(lines) == 0 || done[idOf(s.event)] {
			continue
		}
		done[idOf(s.event)] = true
		before := last[s.event.Key()]
		if lines[0] < before.line {
			return fmt.Errorf("effect %s of event %s took place in line %d, before that of %s in line %d, which came first",
				effect, s.name, lines[0], before.name, before.line)
		}
		last[s.event.Key()] = newest{lines[0], s.name}
	}
	return nil
}

// NoLoss adds the invariant that every event that was stored was acknowledged or poisoned in every
// group that somebody has subscribed to. What a service failed to publish and did not publish again
// is not stored; only an invariant of your own knows that it is missed.
func (x *Exploration) NoLoss() {
	x.Invariant("no loss", func() error {
		for _, t := range x.c.topics {
			for _, g := range t.groups {
				if g.served && g.left > 0 {
					return fmt.Errorf("%d %s of topic %s not settled in group %s", g.left, plural(g.left, "event is", "events are"), t.name, g.name)
				}
			}
		}
		return nil
	})
}

// NothingPoisoned adds the invariant that no event ended in a poison queue or was rejected, but
// those that may accepts. A nil may accepts none.
func (x *Exploration) NothingPoisoned(may func(e leat.Event) bool) {
	x.Invariant("nothing wrongly poisoned", func() error {
		for _, t := range x.c.topics {
			for _, g := range t.groups {
				for _, s := range t.log {
					if x.c.poisoned[poisonKey(t.name, g.name, idOf(s.event))] && (may == nil || !may(s.event)) {
						return fmt.Errorf("event %s of topic %s was poisoned in group %s", s.name, t.name, g.name)
					}
				}
			}
		}
		return nil
	})
}
