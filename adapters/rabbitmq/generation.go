package rabbitmq

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// generation is a channel of a stream, for as long as it lasts, with all that came by it. Its lease is all that time. Stream.mu guards what
// stands behind the channel's own fields.
type generation struct {
	s        *Stream
	topology topology
	session  *session
	ch       *amqp.Channel
	arrivals <-chan amqp.Delivery
	closes   chan *amqp.Error
	lease    *leat.Lease // the pulse's
	pulse    *pulse
	prefetch int
	begun    time.Time
	pumped   chan struct{} // closed when nothing comes any more, unless the stream wanted that
	// cancelled says that the stream cancelled its consumer itself.
	cancelled atomic.Bool
	over      chan struct{} // closed when ended is set
	due       chan struct{} // holds a token when there is something to acknowledge
	used      chan struct{} // holds a token when everything that was kept is delivered, and more was not kept
	urgent    chan struct{} // holds a token when that should not wait
	turn      chan struct{} // holds a token while somebody acknowledges
	// transactions says that what is acknowledged takes effect by a commit. It is who has the turn's.
	transactions bool

	window   window
	events   int  // delivered and not settled
	bytes    int  // of them
	held     int  // bytes of everything that is not settled
	most     int  // the largest held since calm has looked
	overflow bool // nothing more is kept
	draining bool
	ended    bool
	returns  []uint64            // given back since Receive last looked
	blocked  map[string]*holding // keys of which something was given back while more was out
	again    []uint64            // to be delivered again, in order
	naps     []uint64            // the same, without a key, when their delay is over
	alarm    *time.Timer         // for the delay that is over first, nil before the first
	alarmAt  int64               // Unix nanoseconds: when that is, 0 when it is not set
}

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
		turn: make(chan struct{}, 1), used: make(chan struct{}, 1), blocked: map[string]*holding{},
	}
	g.window = newWindow(g.prefetch)
	var asked time.Time
	err = session.do(ctx, func(ch *amqp.Channel) error {
		if err := g.topology.declare(ch, b.o.Provision); err != nil {
			return err
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

// topology returns the topology for a channel of a connection. The queue of a broadcast lives as long as its connection.
func (s *Stream) topology(session *session) (topology, error) {
	if s.sub.Broadcast && s.last != nil && s.last.session == session {
		return s.last.topology, nil
	}
	return s.broker.topologyOf(s.sub)
}

// start lets messages in. The stream's lock is held.
func (g *generation) start() {
	g.s.broker.life.Tasks.Go(g.pump)
	g.s.broker.life.Tasks.Go(g.ackLoop)
}

// pump decodes what comes into the window, until the channel or its consumer is over. The broker sends no more than the prefetch.
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
		into.Event, into.Malformed, into.Key, into.Trace = leat.Event{}, nil, "", nil
		d.decode(&m, &into)
		in := slot{
			event: into.Event, malformed: into.Malformed, messageKey: into.Key, trace: into.Trace, size: sizeOf(&m), came: time.Now(),
			deliveries: deliveries(&m, quorum),
		}
		if in.deliveries > 0 {
			in.deliveries += deliveriesBefore(&m)
		}
		s.mu.Lock()
		g.take(in)
		s.mu.Unlock()
	}
}

// take enters a message. RabbitMQ bounds the number of messages that a channel has, and not their bytes: what is too much for the limit is
// left to another channel with a smaller prefetch. The stream's lock is held.
func (g *generation) take(in slot) {
	switch {
	case g.ended:
		return
	case g.overflow:
		in.forget() // it is never delivered
	default:
		g.held += in.size
		g.most = max(g.most, g.held)
		if fresh := int(g.window.next - g.window.fresh); fresh > 0 && g.held > g.mostHeld() {
			g.overflow = true
			mean := g.held / (fresh + g.events + 1)
			g.s.prefetch = max(1, min(g.prefetch/2, g.s.sub.MaxInFlightBytes/max(mean, 1)))
		}
	}
	g.window.push(in)
	if g.s.waiting {
		g.s.wake()
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

// calm reports whether little was held since it was called before, on a channel whose prefetch was made smaller for large messages.
func (g *generation) calm() bool {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	calm := g.prefetch < g.s.fullPrefetch() && !g.overflow && !g.s.quiet && g.most <= g.mostHeld()/(2*growth)
	g.most = g.held
	return calm
}

// grow makes the prefetch of the next channel larger.
func (g *generation) grow() {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if !g.overflow {
		g.s.prefetch = min(growth*g.prefetch, g.s.fullPrefetch())
	}
}

// fill delivers what it has. The stream's lock is held.
func (g *generation) fill(into []leat.Delivery) (n int) {
	if g.draining || g.lease.Ended() {
		return 0
	}
	g.sortReturns()
	for n < len(into) && len(g.again) > 0 && g.fits(g.window.at(g.again[0])) {
		g.deliver(&into[n], g.again[0], g.window.at(g.again[0]))
		g.again = g.again[1:]
		n++
	}
	w := &g.window
	for n < len(into) && len(g.again) == 0 && w.fresh < w.next {
		s := w.inRing(w.fresh)
		if h := g.holding(s.key()); h != nil {
			s.state = slotBack
			h.waiting = append(h.waiting, w.fresh)
			w.fresh++
			continue
		}
		if g.overflow && s.event.IsZero() && s.malformed == nil {
			signal(g.used)
			break
		}
		if !g.fits(s) {
			break
		}
		g.deliver(&into[n], w.fresh, s)
		w.fresh++
		n++
	}
	return n
}

// fits reports whether the limits leave room for a message.
func (g *generation) fits(s *slot) bool {
	return g.events == 0 || g.events < g.s.sub.MaxInFlight && g.bytes+s.size <= g.s.sub.MaxInFlightBytes
}

// roundBits is how much of a delivery's Tag says how often it was delivered; the rest is RabbitMQ's tag.
const roundBits = 24

// deliver makes a delivery of a message.
func (g *generation) deliver(d *leat.Delivery, tag uint64, s *slot) {
	s.state = slotOut
	s.round++
	*d = leat.Delivery{
		Event: s.event, Malformed: s.malformed, Key: s.messageKey, Trace: s.trace, Lease: g.lease, Handle: g,
		Tag:        tag<<roundBits | uint64(s.round)%(1<<roundBits),
		Position:   leat.Position{ID: g.topology.queue.Name},
		Deliveries: s.deliveries, // by the broker, whatever this stream delivers again by itself (R8)
	}
	g.events++
	g.bytes += s.size
}

// settle says what became of a delivery. The stream's lock is held.
func (g *generation) settle(tag uint64, how leat.Settlement) {
	if g.ended || g.lease.Ended() {
		return
	}
	round := tag % (1 << roundBits)
	tag >>= roundBits
	slot := g.window.at(tag)
	if slot == nil || slot.state != slotOut || uint64(slot.round)%(1<<roundBits) != round {
		return
	}
	switch how.Action {
	case leat.Ack, leat.GiveBack:
	case leat.NativeReject:
		if !g.s.caps.NativeReject {
			return
		}
	default:
		return
	}
	g.events--
	g.bytes -= slot.size
	if h := g.holding(slot.key()); h != nil {
		h.out--
		if h.out == 0 {
			g.s.wake()
		}
	}
	switch how.Action {
	case leat.GiveBack:
		g.takeBack(tag, slot, how.Delay)
	case leat.NativeReject:
		g.held -= slot.size
		g.window.reject(tag, slot)
		signal(g.due)
	default:
		g.finish(slot)
	}
	if g.s.waiting {
		g.s.wake()
	}
}

// takeBack is a GiveBack. While the generation drains, and on a quiet stream, what is given back is left to the broker. The stream's lock
// is held.
func (g *generation) takeBack(tag uint64, slot *slot, delay time.Duration) {
	slot.state = slotBack
	if g.draining || g.s.quiet {
		return
	}
	if delay = min(delay, g.s.caps.LongestDelay); delay > 0 {
		slot.notBefore = time.Now().Add(delay).UnixNano()
		if slot.key() == "" && delay >= g.s.delays.least && g.s.delays.take(g, tag, slot, delay) {
			slot.state = slotMoved
			return
		}
	}
	g.returns = append(g.returns, tag)
	g.s.wake()
}

// finish is an Ack. The stream's lock is held.
func (g *generation) finish(slot *slot) {
	g.held -= slot.size
	g.window.finish(slot, time.Now())
	if g.window.unacked == 1 {
		signal(g.due)
	}
	if g.window.unacked >= g.quarter() {
		signal(g.urgent)
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
