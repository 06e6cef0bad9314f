package rabbitmq

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	amqp "github.com/rabbitmq/amqp091-go"
)

// generation is a channel of a stream, for as long as it lasts, with all that came by it. Its lease
// is all that time. Stream.mu guards what stands behind the channel's own fields.
type generation struct {
	s        *Stream
	topology topology
	session  *session
	ch       *amqp.Channel
	arrivals <-chan amqp.Delivery
	asks     <-chan amqp.Delivery // that ask to let go of the turn; nil where there are no turns
	closes   chan *amqp.Error
	lease    *leat.Lease // the pulse's
	pulse    *pulse
	prefetch int
	begun    time.Time
	started  time.Time     // when messages were let in
	pumped   chan struct{} // closed when nothing comes any more, unless the stream wanted that
	// cancelled says that the stream cancelled its consumer itself.
	cancelled atomic.Bool
	over      chan struct{} // closed when ended is set
	due       chan struct{} // holds a token when there is something to acknowledge
	used      chan struct{} // holds a token when everything that was kept is delivered, and more was not kept
	urgent    chan struct{} // holds a token when that should not wait
	stopped   chan struct{} // closed when ackLoop has ended, which it does when over is closed
	// transactions says that what is acknowledged takes effect by a commit. It is ackLoop's own.
	transactions bool

	window   *book.Window[arrival] // its numbers are the channel's delivery tags, which have no gaps
	most     int                   // the most bytes held since outlived has looked
	calm     int                   // how often that was little, in a row
	overflow bool                  // nothing more is kept
	ended    bool
}

// arrival is what a stream keeps for a message beside its delivery: when it came.
type arrival time.Time

// consumerTag names the only consumer of a channel.
const consumerTag = "leat"

// mostPrefetch is the largest prefetch that AMQP 0-9-1 can say.
const mostPrefetch = 65_535

// open declares what the subscription needs and begins to consume. ctx bounds it.
func (s *Stream) open(ctx context.Context) (*generation, error) {
	b := s.broker
	session, err := b.consuming.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	prefetch := s.prefetch
	s.mu.Unlock()
	t, err := s.topology(session)
	if err != nil {
		return nil, err
	}
	g := &generation{
		s: s, topology: t, session: session, prefetch: prefetch, begun: time.Now(),
		pumped: make(chan struct{}), over: make(chan struct{}), due: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		stopped: make(chan struct{}), used: make(chan struct{}, 1),
	}
	if err := b.adopt(ctx, &t); err != nil {
		return nil, err
	}
	var asked time.Time
	err = session.do(ctx, func(ch *amqp.Channel) error {
		if err := g.topology.declare(ch, &b.o); err != nil {
			return err
		}
		if g.topology.turns() {
			if g.asks, err = g.topology.takeTurn(ctx, ch); err != nil {
				return err
			}
		}
		if err := ch.Qos(g.prefetch, 0, false); err != nil {
			return err
		}
		g.ch, g.closes = ch, ch.NotifyClose(make(chan *amqp.Error, 1))
		asked = time.Now()
		var err error
		g.arrivals, err = ch.Consume(g.topology.queue.Name, consumerTag, false, false, false, false, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	g.pulse = newPulse(asked, session.conn.Config.Heartbeat)
	g.lease = g.pulse.lease.Lease()
	s.last = g
	return g, nil
}

// topology returns the topology for a channel of a connection. The queue of a broadcast lives as
// long as its connection.
func (s *Stream) topology(session *session) (topology, error) {
	if s.sub.Broadcast && s.last != nil && s.last.session == session {
		return s.last.topology, nil
	}
	return s.broker.topologyOf(s.sub)
}

// start lets messages in. The stream's lock is held.
func (g *generation) start() {
	g.window, g.started = g.s.book.Open(g.lease), time.Now()
	g.s.broker.life.Tasks.Go(g.pump)
	g.s.broker.life.Tasks.Go(g.ackLoop)
}

// pump decodes what comes into the window, until the channel or its consumer is over. The broker
// sends no more than the prefetch.
func (g *generation) pump() {
	defer close(g.pumped)
	s := g.s
	d := decoder{topic: s.sub.Topic, mapping: s.broker.o.Mapping, keyFrom: keyFrom(s.broker.o.KeyFrom)}
	quorum := g.topology.quorum()
	var m amqp.Delivery // one for all: they escape
	var into leat.Delivery
	for {
		var open bool
		if m, open = <-g.arrivals; !open {
			if g.cancelled.Load() { // acknowledgements go on, until the channel is over
				<-g.ch.NotifyClose(make(chan *amqp.Error, 1)) //nolint:errcheck // why it ended is no matter here
			}
			return
		}
		into = leat.Delivery{Position: leat.Position{ID: g.topology.queue.Name}}
		d.decode(&m, &into)
		if into.Deliveries = deliveries(&m, quorum); into.Deliveries > 0 {
			into.Deliveries += deliveriesBefore(&m)
		}
		came := time.Now()
		s.mu.Lock()
		g.take(&into, sizeOf(&m), arrival(came))
		s.mu.Unlock()
	}
}

// take enters a message. RabbitMQ bounds the number of messages that a channel has, and not their
// bytes: what is too much for the limit is left to another channel with a smaller prefetch. The
// stream's lock is held.
func (g *generation) take(d *leat.Delivery, size int, came arrival) {
	if g.ended || g.overflow { // it is never delivered, nor acknowledged
		return
	}
	g.window.Push(d, size, came)
	_, held := g.s.book.Held()
	g.most = max(g.most, held)
	if fresh := g.window.Fresh(); fresh > 1 && held > g.mostHeld() {
		g.overflow = true
		out, _ := g.s.book.Out()
		mean := held / (fresh + out)
		g.s.prefetch = max(1, min(g.prefetch/2, g.s.sub.MaxInFlightBytes/max(mean, 1)))
	}
}

// leastOverflow is what a stream may hold in any case: a prefetch is not made smaller for less.
const leastOverflow = 1 << 20

// mostHeld is how many bytes the stream may hold.
func (g *generation) mostHeld() int { return max(2*g.s.sub.MaxInFlightBytes, leastOverflow) }

const (
	calmLooks = 4 // how often little is held until a channel with a larger prefetch is due
	growth    = 4 // how much larger that is
)

// outlived looks at the channel from time to time, and reports whether another one should take its
// place: it has a message for too long, or a prefetch that was made smaller for large messages, and
// little was held at several looks. Else a few large messages would slow the stream down for as
// long as its connection lasts.
func (g *generation) outlived(now time.Time) bool {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if since, found := g.window.Oldest(); found && now.Sub(time.Time(since)) >= g.s.broker.o.RecycleAfter {
		return true
	}
	g.calm++
	if g.prefetch >= g.s.fullPrefetch() || g.overflow || g.s.quiet || g.most > g.mostHeld()/(2*growth) {
		g.calm = 0
	}
	_, g.most = g.s.book.Held()
	if g.calm < calmLooks {
		return false
	}
	g.s.prefetch = min(growth*g.prefetch, g.s.fullPrefetch())
	return true
}

// settle says what became of a delivery. The stream's lock is held.
func (g *generation) settle(tag uint64, how leat.Settlement) {
	switch {
	case how.Action == leat.Ack:
		g.finish(tag)
	case how.Action == leat.GiveBack:
		g.takeBack(tag, min(how.Delay, g.s.caps.LongestDelay))
	case how.Action == leat.NativeReject && g.s.caps.NativeReject:
		g.window.Reject(tag)
		lifecycle.Signal(g.due)
	}
}

// takeBack is a GiveBack. While the generation drains, and on a quiet stream, what is given back is
// left to the broker. It never goes back to the broker while the channel lasts: a quorum queue
// would put it behind later messages. The stream's lock is held.
func (g *generation) takeBack(tag uint64, delay time.Duration) {
	d := g.window.Delivery(tag)
	keyless := d.Event.Key() == "" && d.Key == ""
	if keyless && delay > 0 && delay >= g.s.delays.least && !g.window.Stopped() && !g.s.quiet && g.s.delays.take(g, tag, d, delay) {
		g.window.SetAside(tag)
		return
	}
	g.window.GiveBack(tag, delay)
}

// finish is an Ack. The stream's lock is held.
func (g *generation) finish(tag uint64) {
	g.window.Finish(tag)
	n, _ := g.window.Uncollected()
	if n == 1 {
		lifecycle.Signal(g.due)
	}
	if n >= g.quarter() {
		lifecycle.Signal(g.urgent)
	}
}
