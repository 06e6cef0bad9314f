package eventtest

import (
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// topicLog is what the Recorder knows about a topic. Its lock guards all of this file's types.
type topicLog struct {
	name   string
	pubs   []*publication
	byID   map[eventID][]*publication
	groups []*groupLog
}

// publication is one event in one topic.
type publication struct {
	topic *topicLog
	event leat.Event
	key   string // the transport's
	at    time.Duration
	state publicationState
	err   error // why it failed
	// refused says that it failed and is certainly not stored, as far as the broker says.
	refused bool
	cause   Cause
	root    bool // nothing is known to have caused it
	// verdictOn is what was given up, for an event on its way to a poison queue.
	verdictOn *visit
	visits    []*visit
}

type publicationState uint8

const (
	pubPending publicationState = iota // the broker has not answered
	pubStored                          // confirmed
	pubFailed                          // refused, or unknown
	pubForeign                         // seen only when it was delivered
)

// groupLog is a group of a topic, or one broadcast stream.
type groupLog struct {
	topic      *topicLog
	name       string
	broadcast  bool
	closed     bool // its broadcast stream has ended
	subscribed bool // it has, or had, a stream
	history    bool // what was published before it is owed to it too
	observed   bool // a Consumer has told what becomes of its deliveries
	streams    int
	byPosition map[leat.Position]*visit
}

// counts reports whether the group's events must be settled. Those that a poison queue keeps for a
// replay need not be, until somebody replays them.
func (g *groupLog) counts() bool { return !g.closed && (g.subscribed || g.name != leat.ReplayGroup) }

// visit is one event in one group, over all of its deliveries.
type visit struct {
	pub      *publication
	group    *groupLog
	position leat.Position

	seen  bool // it was delivered, whatever the publisher was told
	held  int  // deliveries that are not settled
	done  bool // acked, or gone with the lease of a broadcast
	stuck bool
	// poisoned says that since its last delivery it was stored in a poison queue that is behind the
	// Recorder too.
	poisoned bool
	open     bool // counted as not settled
	steps    []*step
}

// isOpen reports whether the visit must still be settled.
func (v *visit) isOpen() bool {
	switch {
	case v.held > 0:
		return true
	case v.done || !v.group.counts():
		return false
	}
	return v.seen || v.pub.state == pubStored
}

// step is one thing that happened to a visit. An attempt is one step, from its beginning to its
// outcome.
type step struct {
	kind      RecordKind // RecordDelivered, RecordAttempted, or what else happened
	at        time.Duration
	attempt   int
	err       error
	delay     time.Duration
	outcome   RecordKind // of an attempt; empty while it runs
	end       time.Duration
	published []*publication
}

// flight is one delivery. The delivery's Handle leads to it.
type flight struct {
	visit    *visit
	stream   *recorderStream
	handle   any   // the broker's own
	attempt  *step // the one that runs
	observed bool  // a Consumer has told something of it
}

// topic returns the log of a topic, which it makes at first sight.
func (r *Recorder) topic(name string) *topicLog {
	t := r.topics[name]
	if t == nil {
		t = &topicLog{name: name, byID: map[eventID][]*publication{}}
		r.topics[name] = t
	}
	return t
}

// add appends an event to its topic.
func (r *Recorder) add(p *publication) {
	p.root = true
	r.published = append(r.published, p)
	p.topic.pubs = append(p.topic.pubs, p)
	if !p.event.IsZero() {
		id := idOf(p.event)
		p.topic.byID[id] = append(p.topic.byID[id], p)
	}
}

// visit returns the visit of p in g, which it makes where there is none.
func (p *publication) visit(g *groupLog) *visit {
	if v := p.visitOf(g); v != nil {
		return v
	}
	v := &visit{pub: p, group: g}
	p.visits = append(p.visits, v)
	return v
}

func (p *publication) visitOf(g *groupLog) *visit {
	for _, v := range p.visits {
		if v.group == g {
			return v
		}
	}
	return nil
}

// group returns the log of a group, which it makes at first sight.
func (r *Recorder) group(t *topicLog, sub leat.Subscription) *groupLog {
	name := sub.Group
	if sub.Broadcast {
		name = BroadcastGroup
	} else {
		for _, g := range t.groups {
			if g.name == name && !g.broadcast {
				return g
			}
		}
	}
	g := &groupLog{topic: t, name: name, broadcast: sub.Broadcast, byPosition: map[leat.Position]*visit{}}
	t.groups = append(t.groups, g)
	return g
}

// owe lets g get what was published before it.
func (r *Recorder) owe(g *groupLog) {
	if g.history || g.broadcast {
		return
	}
	g.history = true
	for _, p := range g.topic.pubs {
		if p.state != pubForeign {
			r.recount(p.visit(g))
		}
	}
}

// match finds which published event was delivered. One that nobody has published here is added.
func (r *Recorder) match(g *groupLog, d *leat.Delivery) *publication {
	if v := g.byPosition[d.Position]; v != nil && (d.Malformed != nil || idOf(v.pub.event) == idOf(d.Event)) {
		return v.pub
	}
	var found *publication
	if d.Malformed == nil {
		for _, p := range taken(g.topic.byID[idOf(d.Event)]) {
			found = p
			if v := p.visitOf(g); v == nil || !v.seen {
				break // else it was published several times
			}
		}
	}
	if found == nil {
		found = &publication{topic: g.topic, event: d.Event, key: d.Key, at: r.now(), state: pubForeign}
		r.add(found)
	}
	return found
}

// taken leaves out what was refused, and published again with the same id, unless that is all.
func taken(pubs []*publication) []*publication {
	if len(pubs) > 1 && slices.ContainsFunc(pubs, func(p *publication) bool { return !p.refused }) {
		return slices.DeleteFunc(slices.Clone(pubs), func(p *publication) bool { return p.refused })
	}
	return pubs
}

// recount counts v as what it is now.
func (r *Recorder) recount(v *visit) {
	if v.held == 0 && v.stuck {
		v.stuck = false
		r.stuck--
	}
	open := v.isOpen()
	switch {
	case open && !v.open:
		r.open++
	case !open && v.open:
		r.open--
	}
	v.open = open
}

// tell wakes those who wait, where there may be something for them.
func (r *Recorder) tell() {
	quiet := r.open+r.publishing == 0
	if quiet {
		r.quiet++
	}
	if quiet || r.stuck > 0 {
		r.wake()
	}
}

func (r *Recorder) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Recorder) now() time.Duration { return time.Since(r.began) }

// note adds a record of what happened to a visit.
func (r *Recorder) note(v *visit, kind RecordKind, o leat.Observation) {
	r.records = append(r.records, Record{
		Kind: kind, At: r.now(), Topic: v.pub.topic.name, Group: v.group.name, Event: v.pub.event,
		TransportKey: v.pub.key, Attempt: o.Attempt, Err: o.Err, Delay: o.Delay,
	})
}
