package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	lease    *leat.Lease
	prefetch int
	begun    time.Time
	pumped   chan struct{} // closed when nothing comes any more
	over     chan struct{} // closed when ended is set
	due      chan struct{} // holds a token when there is something to acknowledge
	used     chan struct{} // holds a token when everything that was kept is delivered, and more was not kept
	urgent   chan struct{} // holds a token when that should not wait
	turn     chan struct{} // holds a token while somebody acknowledges
	onesSent time.Time     // when messages were acknowledged one by one; its holder's

	window   window
	events   int  // delivered and not settled
	bytes    int  // of them
	held     int  // bytes of everything that is not settled
	overflow bool // nothing more is kept
	draining bool
	ended    bool
	returns  []uint64            // given back since Receive last looked
	blocked  map[string]*holding // keys of which something was given back while more was out
	again    []uint64            // to be delivered again, in order
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
		s: s, topology: t, session: session, lease: leat.NewLease(), prefetch: prefetch, begun: time.Now(),
		pumped: make(chan struct{}), over: make(chan struct{}), due: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		turn: make(chan struct{}, 1), used: make(chan struct{}, 1), blocked: map[string]*holding{},
	}
	g.window = newWindow(g.prefetch)
	err = session.do(ctx, func(ch *amqp.Channel) error {
		if err := g.topology.declare(ch, b.o.Provision); err != nil {
			return err
		}
		if err := ch.Qos(g.prefetch, 0, false); err != nil {
			return err
		}
		g.ch, g.closes = ch, ch.NotifyClose(make(chan *amqp.Error, 1))
		var err error
		g.arrivals, err = ch.Consume(g.topology.queue.Name, consumerTag, false, false, false, false, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
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
	go g.pump()
	go g.ackLoop()
}

// pump decodes what comes into the window, until the channel or its consumer is over. The broker sends no more than the prefetch.
func (g *generation) pump() {
	defer close(g.pumped)
	s := g.s
	d := decoder{topic: s.sub.Topic, assume: s.broker.o.Assume, mapping: s.broker.o.Mapping}
	quorum := g.topology.quorum()
	var m amqp.Delivery // one for all: they escape
	var into leat.Delivery
	for {
		var open bool
		if m, open = <-g.arrivals; !open {
			return
		}
		into.Event, into.Malformed = leat.Event{}, nil
		d.decode(&m, &into)
		in := slot{
			event: into.Event, malformed: into.Malformed, size: sizeOf(&m), came: time.Now(), deliveries: deliveries(&m, quorum),
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
		in.event, in.malformed = leat.Event{}, nil // it is never delivered
	default:
		g.held += in.size
		if fresh := int(g.window.next - g.window.fresh); fresh > 0 && g.held > max(2*g.s.sub.MaxInFlightBytes, leastOverflow) {
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

// fill delivers what it has. The stream's lock is held.
func (g *generation) fill(into []leat.Delivery) (n int) {
	if g.draining {
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

// deliver makes a delivery of a message.
func (g *generation) deliver(d *leat.Delivery, tag uint64, s *slot) {
	s.state = slotOut
	s.round++
	*d = leat.Delivery{
		Event: s.event, Malformed: s.malformed, Lease: g.lease, Handle: g, Tag: tag<<8 | uint64(s.round),
		Position: leat.Position{ID: g.topology.queue.Name},
	}
	if s.deliveries > 0 {
		d.Deliveries = s.deliveries + int(s.round) - 1
	}
	g.events++
	g.bytes += s.size
}

// settle says what became of a delivery. The stream's lock is held.
func (g *generation) settle(tag uint64, how leat.Action) {
	if g.ended {
		return
	}
	slot := g.window.at(tag >> 8)
	if slot == nil || slot.state != slotOut || slot.round != uint8(tag) {
		return
	}
	if how != leat.Ack && how != leat.GiveBack {
		return // there is no NativeReject
	}
	g.events--
	g.bytes -= slot.size
	if h := g.holding(slot.key()); h != nil {
		h.out--
		if h.out == 0 {
			g.s.wake()
		}
	}
	if how == leat.GiveBack {
		slot.state = slotBack
		if !g.draining {
			g.returns = append(g.returns, tag>>8)
			g.s.wake()
		}
		return
	}
	g.held -= slot.size
	g.window.finish(slot, time.Now())
	if g.window.unacked == 1 {
		signal(g.due)
	}
	if g.window.unacked >= g.quarter() {
		signal(g.urgent)
	}
	if g.s.waiting {
		g.s.wake()
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// quarter is how many finished messages do not wait to be acknowledged.
func (g *generation) quarter() int { return max(1, g.prefetch/4) }

const (
	// ackDelay is how long finished messages wait for others, to be acknowledged together.
	ackDelay = 5 * time.Millisecond
	// oneDelay is how long they wait for an unfinished one before them, to be acknowledged one by one then.
	oneDelay = 100 * time.Millisecond
)

// ackLoop acknowledges in the background what is finished.
func (g *generation) ackLoop() {
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	for {
		select {
		case <-g.due:
		case <-g.over:
			return
		}
		timer.Reset(ackDelay)
		for again := true; again; {
			select {
			case <-timer.C:
			case <-g.urgent:
			case <-g.over:
				return
			}
			again = g.ackSome()
			timer.Reset(oneDelay / 4)
		}
	}
}

// ackSome acknowledges what may be by now, and reports whether something is left to be acknowledged.
func (g *generation) ackSome() bool {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-g.over:
		return false
	}
	now := time.Now()
	g.s.mu.Lock()
	w := &g.window
	a := w.collect(false, now)
	if w.unacked > 0 && (w.unacked >= g.quarter() || now.Sub(w.moved) >= oneDelay) {
		more := w.collect(true, now)
		a.ones = more.ones
	}
	left := w.unacked > 0
	g.s.mu.Unlock()
	if err := g.send(a); err != nil {
		return false // the channel is over
	}
	return left
}

// send writes acknowledgements.
func (g *generation) send(a acks) error {
	if len(a.ones) > 0 {
		g.onesSent = time.Now()
		g.session.link.cork()
		defer g.session.link.uncork()
	}
	if a.upTo > 0 {
		if err := g.ch.Ack(a.upTo, true); err != nil {
			return err
		}
	}
	for _, tag := range a.ones {
		if err := g.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

// A quorum queue takes a few dozen acknowledgements at a time; the others wait in the channel, and are dropped when that closes, so that
// what they are for would be delivered again. RabbitMQ does not say when it has taken them all. So what was acknowledged one by one
// gets some time, in which the channel answers requests behind the acknowledgements.
const (
	lastRounds = 5
	lastRound  = 10 * time.Millisecond
	mostOnes   = 16 // that are known to be taken at once
)

// sendLast is send before the channel is closed.
func (g *generation) sendLast(ctx context.Context, a acks) error {
	err := g.send(a)
	if !g.topology.quorum() || len(a.ones) <= mostOnes && time.Since(g.onesSent) > lastRounds*lastRound {
		return err
	}
	for range lastRounds {
		if err == nil {
			err = g.ch.Qos(g.prefetch, 0, false)
		}
		if err != nil || !wait(ctx, lastRound) {
			return err
		}
	}
	return nil
}

var (
	errCancelled = errors.New("the broker cancelled the consumer: the queue was deleted, or has failed over")
	errOverran   = errors.New("a handler outlasted RecycleAfter and the grace behind it")
)

// await waits for the end of the generation, and returns why it is; nil when the channel is to be recycled, and errClosing when the stream
// is closed.
func (g *generation) await() error {
	recycle := time.NewTicker(max(g.s.broker.o.RecycleAfter/20, time.Millisecond))
	defer recycle.Stop()
	for {
		select {
		case <-g.s.ctx.Done():
			return errClosing
		case <-g.pumped:
			return g.cause()
		case <-g.session.gone:
			return g.cause()
		case <-g.used:
			return nil
		case now := <-recycle.C:
			g.s.mu.Lock()
			since, found := g.window.oldest()
			g.s.mu.Unlock()
			if found && now.Sub(since) >= g.s.broker.o.RecycleAfter {
				return nil
			}
		}
	}
}

// errClosing is the end of a generation by Stream.Close.
var errClosing = errors.New("the stream is closed")

// cause says why nothing comes any more.
func (g *generation) cause() error {
	if g.session.over() {
		<-g.session.gone
		return fmt.Errorf("the connection is lost: %w", g.session.err)
	}
	if g.ch.IsClosed() {
		if err := <-g.closes; err != nil {
			return fmt.Errorf("the broker closed the channel: %w", err)
		}
		return errClosedConnection
	}
	return errCancelled
}

// lose ends the generation when its channel is gone, and its lease with it.
func (g *generation) lose(cause error) {
	g.s.mu.Lock()
	g.end()
	g.s.mu.Unlock()
	g.lease.End(cause)
	if !g.ch.IsClosed() {
		_ = g.close(g.s.ctx)
	}
}

// end makes settlements void. The stream's lock is held.
func (g *generation) end() {
	if g.ended {
		return
	}
	g.draining, g.ended = true, true
	g.returns, g.again, g.blocked = nil, nil, nil
	close(g.over)
	if g.s.generation == g {
		g.s.generation = nil
	}
}

// giveUp ends the generation in order: what is finished is acknowledged, the lease ends with cause, and the channel is closed, by which the
// broker takes back what is left, in order. ctx bounds it.
func (g *generation) giveUp(ctx context.Context, cause error) error {
	var err error
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.s.mu.Lock()
	a := g.window.collect(true, time.Now())
	over := g.ended
	g.end()
	g.s.mu.Unlock()
	if over {
		return nil
	}
	done := make(chan error, 1)
	if err == nil {
		go func() { done <- g.sendLast(ctx, a) }()
		select {
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	g.lease.End(cause)
	if e := g.close(ctx); err == nil {
		err = e
	}
	if a.count == 0 && g.session.over() {
		return nil
	}
	return err
}

// close closes the channel. The broker has seen everything that was acknowledged when it answers. When ctx ends before that, the channel is
// left to the end of the connection.
func (g *generation) close(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- g.ch.Close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recycleGrace is the part of RecycleAfter that handlers get to finish, once their channel is to be recycled.
const recycleGrace = 10

// recycle gives up the generation before the broker's consumer_timeout does: handlers that run may finish, the rest goes back.
func (g *generation) recycle() {
	g.s.mu.Lock()
	g.draining = true
	g.s.mu.Unlock()
	released := make(chan struct{})
	g.lease.Drain(sync.OnceFunc(func() { close(released) }))
	grace := time.NewTimer(g.s.broker.o.RecycleAfter / recycleGrace)
	defer grace.Stop()
	var cause error
	select {
	case <-released:
	case <-grace.C:
		cause = errOverran
		g.s.note(&g.s.overrun, errOverran)
	case <-g.pumped:
		g.lose(g.cause())
		return
	case <-g.s.ctx.Done():
		return // Close does the rest
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.s.broker.o.RequestTimeout)
	defer cancel()
	if g.giveUp(ctx, cause) != nil && ctx.Err() != nil {
		g.session.link.kill() // a broker that does not answer; the end of the connection is sure to end the channel
		<-g.session.gone
	}
}
