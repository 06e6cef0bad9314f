package rabbitmq

import (
	"slices"
	"time"
)

// holding is a key that is held back.
type holding struct {
	out     int      // messages of it that are delivered and not settled
	waiting []uint64 // those that are to be delivered again, and new ones behind them
	until   int64    // Unix nanoseconds: the longest delay of them
}

// holding returns what is known of a key that is held back, nil for others and for no key.
func (g *generation) holding(key string) *holding {
	if len(g.blocked) == 0 || key == "" {
		return nil
	}
	return g.blocked[key]
}

// sortReturns decides about what was given back: without a key it may be delivered again at once; the messages of a key when nothing of
// it is out any more, in order, and before what comes after them. They are never given back to the broker while the channel
// lasts: a quorum queue would put them behind later ones.
func (g *generation) sortReturns() {
	if len(g.returns) == 0 && len(g.blocked) == 0 && len(g.naps) == 0 {
		return
	}
	now, next := time.Now().UnixNano(), int64(0)
	sleeps := func(until int64) bool {
		if until > now && (next == 0 || until < next) {
			next = until
		}
		return until > now
	}
	g.blockKeys()
	g.naps = slices.DeleteFunc(g.naps, func(tag uint64) bool {
		awake := !sleeps(g.window.at(tag).notBefore)
		if awake {
			g.again = append(g.again, tag)
		}
		return awake
	})
	for key, h := range g.blocked {
		if sleeps(h.until) || h.out > 0 {
			continue
		}
		slices.Sort(h.waiting)
		g.again = append(g.again, h.waiting...)
		delete(g.blocked, key)
	}
	g.wakeAt(next)
}

// blockKeys enters what was given back since the last time.
func (g *generation) blockKeys() {
	fresh := map[string]*holding{}
	for _, tag := range g.returns {
		slot := g.window.at(tag)
		key := slot.key()
		if key == "" {
			g.naps = append(g.naps, tag)
			continue
		}
		h := g.blocked[key]
		if h == nil {
			h = &holding{}
			g.blocked[key], fresh[key] = h, h
		}
		h.waiting = append(h.waiting, tag)
		h.until = max(h.until, slot.notBefore)
	}
	g.returns = g.returns[:0]
	if len(fresh) == 0 {
		return
	}
	g.again = slices.DeleteFunc(g.again, func(tag uint64) bool { // it comes after what was given back now, or before it
		h := fresh[g.window.at(tag).key()]
		if h != nil {
			h.waiting = append(h.waiting, tag)
		}
		return h != nil
	})
	count := func(s *slot) {
		if h := fresh[s.key()]; h != nil && s.state == slotOut {
			h.out++
		}
	}
	for _, s := range g.window.stragglers {
		count(s)
	}
	for tag := g.window.first; tag < g.window.fresh; tag++ {
		count(g.window.inRing(tag))
	}
}

// wakeAt makes Receive look at a time, and not at an earlier one that was set before; 0 is never.
func (g *generation) wakeAt(at int64) {
	if at == g.alarmAt {
		return
	}
	g.alarmAt = at
	switch d := time.Until(time.Unix(0, at)); {
	case at == 0:
		g.alarm.Stop()
	case g.alarm == nil:
		g.alarm = time.AfterFunc(d, func() {
			g.s.mu.Lock()
			defer g.s.mu.Unlock()
			g.alarmAt = 0
			g.s.wake()
		})
	default:
		g.alarm.Reset(d)
	}
}
