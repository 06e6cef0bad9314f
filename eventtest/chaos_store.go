package eventtest

import (
	"strconv"

	"github.com/leatgo/leat"
)

// topic is everything that was published to it, in order, and the groups that get it.
type topic struct {
	name   string
	log    []*stored
	groups []*group // in the order in which they were declared
}

// stored is an event in a topic. One that was published twice is there twice.
type stored struct {
	event  leat.Event
	name   string // in the timeline
	topic  string
	offset int64
	line   int // of the timeline that published it
}

// group is a topic's queue for those who share its events.
type group struct {
	topic     *topic
	name      string
	owner     *stream // of a broadcast
	unordered bool
	served    bool // somebody has subscribed to it; nobody waits for what nobody reads
	streams   []*stream
	lanes     map[string]*lane // never iterated over
	left      int              // entries that are not settled
	out       []*handout       // in the order in which they were handed out
	turn      int              // which stream is next
}

// lane is the queue of one key, or of one event where there is none. Only its head is handed out.
type lane struct {
	group *group
	key   string
	queue []*entry
}

// entry is an event in a group's queue.
type entry struct {
	*stored

	deliveries int
}

// handout is an entry that a stream holds: one delivery, with a lease of its own.
type handout struct {
	*entry

	lane    *lane
	stream  *stream
	lease   *leat.Lease
	number  int // which delivery of the entry it is
	over    bool
	settled bool // a settlement came, stored or not
	acts    int  // what its handler has asked for and the scheduler has not done
	line    int
}

func (c *chaos) topic(name string) *topic {
	for _, t := range c.topics {
		if t.name == name {
			return t
		}
	}
	t := &topic{name: name}
	c.topics = append(c.topics, t)
	return t
}

// group returns a topic's group, a new one with everything that the topic has if there is none.
func (c *chaos) group(sub leat.Subscription) *group {
	t := c.topic(sub.Topic)
	for _, g := range t.groups {
		if g.owner == nil && g.name == sub.Group {
			return g
		}
	}
	g := &group{topic: t, name: sub.Group, unordered: sub.Unordered, lanes: map[string]*lane{}}
	t.groups = append(t.groups, g)
	for _, s := range t.log {
		c.enqueue(g, &entry{stored: s})
	}
	return g
}

// store appends an event to a topic and to the queues of its groups.
func (c *chaos) store(name string, e leat.Event, called string, line int) {
	t := c.topic(name)
	s := &stored{event: e, name: called, topic: name, offset: int64(len(t.log)), line: line}
	t.log = append(t.log, s)
	for _, g := range t.groups {
		c.enqueue(g, &entry{stored: s})
	}
	c.notePoisoned(e)
}

// enqueue adds an entry behind the others of its key.
func (c *chaos) enqueue(g *group, e *entry) {
	key := "key " + e.event.Key()
	if e.event.Key() == "" || g.unordered {
		key = "offset " + strconv.FormatInt(e.offset, 10)
	}
	l := g.lanes[key]
	if l == nil {
		l = &lane{group: g, key: key}
		g.lanes[key] = l
	}
	l.queue = append(l.queue, e)
	if !isNote(e.event) {
		g.left++
	}
	if len(l.queue) == 1 {
		c.offer(l)
	}
}

// isNote reports whether e is one of the notes that a Consumer with MaxDeliveries keeps, which it
// reads only when it has a suspect.
func isNote(e leat.Event) bool { return e.Type() == "leat.suspects.v1" }

// take hands the head of a lane out to a stream.
func (l *lane) take(s *stream) *handout {
	e := l.queue[0]
	e.deliveries++
	h := &handout{entry: e, lane: l, stream: s, lease: leat.NewLease(), number: e.deliveries}
	l.group.out = append(l.group.out, h)
	return h
}

// end takes a handout back. Its entry leaves the queue when it is done, else it is the next to be
// handed out again.
func (c *chaos) end(h *handout, done bool) {
	g := h.lane.group
	h.over = true
	for i, other := range g.out {
		if other == h {
			g.out = append(g.out[:i:i], g.out[i+1:]...)
			break
		}
	}
	if done {
		h.lane.queue = h.lane.queue[1:]
		if !isNote(h.event) {
			g.left--
		}
	}
	switch {
	case len(h.lane.queue) > 0:
		c.offer(h.lane)
	default:
		delete(g.lanes, h.lane.key)
	}
}

// drop forgets a broadcast, which ends with its stream.
func (t *topic) drop(g *group) {
	for i, other := range t.groups {
		if other == g {
			t.groups = append(t.groups[:i:i], t.groups[i+1:]...)
			return
		}
	}
}
