package eventtest

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"

	"github.com/leatgo/leat"
)

var (
	errFenced = errors.New("the service has crashed")
	errTaken  = errors.New("the broker gave the event to somebody else")
	errOver   = errors.New("the run is over")
)

// handle is the broker as one life of a service sees it.
type handle struct {
	c       *chaos
	service *service
	gone    chan struct{} // closed by the crash
	dead    bool
	closed  bool
	streams []*stream
}

type handleKey struct{}

// Publish implements [leat.Broker]. It asks the scheduler for each event in turn and waits for the
// answer.
func (h *handle) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	for i := range events {
		done(i, h.publish(ctx, topic, events[i]))
	}
}

func (h *handle) publish(ctx context.Context, topic string, e leat.Event) error {
	fail := func(code leat.Code, err error) error {
		return &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: err}
	}
	if err := ctx.Err(); err != nil && !h.isDead() {
		return fail(leat.CodeCanceled, err)
	}
	o := &op{kind: opPublish, h: h, topic: topic, event: e, answer: make(chan answer, 1)}
	if !h.ask(ctx, o) {
		return fail(leat.CodeClosed, errOver)
	}
	a := h.await(ctx, o)
	if a.code != 0 {
		return fail(a.code, a.err)
	}
	return nil
}

// ask hands an op to the scheduler; false when nobody is there to answer it. In a service that has
// crashed, it does not return.
func (h *handle) ask(ctx context.Context, o *op) bool {
	h.c.mu.Lock()
	if h.dead {
		h.c.mu.Unlock()
		runtime.Goexit()
	}
	if h.closed {
		h.c.mu.Unlock()
		return false
	}
	o.out = h.handoutOf(ctx, o.event)
	h.c.post(o)
	h.c.mu.Unlock()
	return true
}

// await waits for the answer to an op. A publish is given up when ctx ends. In a service that
// crashes it does not return.
func (h *handle) await(ctx context.Context, o *op) answer {
	var ended <-chan struct{}
	if o.kind == opPublish {
		ended = ctx.Done()
	}
	select {
	case a := <-o.answer:
		return a
	case <-h.gone:
	case <-ended:
		h.c.mu.Lock()
		canceled := o.cancel()
		h.c.mu.Unlock()
		if canceled {
			if h.isDead() {
				break
			}
			h.c.stir()
			return answer{code: leat.CodeCanceled, err: ctx.Err()}
		}
	}
	select {
	case a := <-o.answer:
		return a
	default:
	}
	runtime.Goexit()
	return answer{}
}

func (h *handle) isDead() bool {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.dead
}

// handoutOf finds the delivery that a handler's context belongs to, or that an event of a poison
// queue stands for; nil where there is none, or it was lost.
func (h *handle) handoutOf(ctx context.Context, e leat.Event) *handout {
	info, ok := leat.InfoFrom(ctx)
	if !ok {
		p, err := leat.PoisonedFrom(e)
		if err != nil {
			return nil
		}
		info = p.Info
	}
	for _, s := range h.streams {
		if s.sub.Topic != info.Topic || s.sub.Group != info.Group {
			continue
		}
		for _, out := range s.group.out {
			if out.stream == s && out.number == info.Deliveries && (ok && out.offset == info.Position.Offset || !ok && idOf(out.event) == idOf(e)) {
				return out
			}
		}
	}
	return nil
}

// Declare implements [leat.Declarer].
func (h *handle) Declare(_ context.Context, subs ...leat.Subscription) error {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	for _, sub := range subs {
		if sub.Group != "" {
			h.c.group(sub)
		}
	}
	return nil
}

// Subscribe implements [leat.Broker].
func (h *handle) Subscribe(_ context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := sub.Validate(); err != nil {
		return nil, err
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.dead || h.closed {
		return nil, &leat.Error{Op: "subscribe", Topic: sub.Topic, Code: leat.CodeClosed, Err: errFenced}
	}
	s := &stream{h: h, sub: sub.WithDefaults(), feed: make(chan leat.Delivery, 1), over: make(chan struct{})}
	if sub.Broadcast {
		t := h.c.topic(sub.Topic)
		s.group = &group{topic: t, name: "broadcast", owner: s, unordered: sub.Unordered, lanes: map[string]*lane{}}
		t.groups = append(t.groups, s.group)
	} else {
		s.group = h.c.group(sub)
		s.group.served = true
	}
	s.group.streams = append(s.group.streams, s)
	h.streams = append(h.streams, s)
	slices.SortStableFunc(h.streams, func(a, b *stream) int { // consumers of one service subscribe at once
		return cmp.Or(strings.Compare(a.sub.Topic, b.sub.Topic), strings.Compare(a.sub.Group, b.sub.Group))
	})
	h.c.stir()
	return s, nil
}

// Limits implements [leat.Broker].
func (h *handle) Limits() leat.Limits { return leat.Limits{} }

// Close implements [leat.Broker].
func (h *handle) Close() error {
	h.c.mu.Lock()
	h.closed = true
	streams := h.streams
	h.c.mu.Unlock()
	for _, s := range streams {
		_ = s.Close(context.Background())
	}
	return nil
}

// stream implements [leat.Stream]: it waits until the scheduler feeds it.
type stream struct {
	h       *handle
	sub     leat.Subscription
	group   *group
	feed    chan leat.Delivery
	over    chan struct{} // closed with it
	closed  bool
	waiting bool // in Receive, and not fed yet
	settles int  // settlements that came and are not stored
}

// Receive implements [leat.Stream].
func (s *stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	s.h.c.mu.Lock()
	s.waiting = true
	s.h.c.stir()
	s.h.c.mu.Unlock()
	select {
	case into[0] = <-s.feed:
		return 1, nil
	case <-ctx.Done():
	case <-s.over:
	}
	s.h.c.mu.Lock()
	s.waiting = false
	s.h.c.mu.Unlock()
	select {
	case into[0] = <-s.feed: // fed in the very moment
		return 1, nil
	default:
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return 0, &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: leat.CodeClosed, Err: errFenced}
}

// Settle implements [leat.Stream]. The scheduler decides when it is stored, and whether.
func (s *stream) Settle(d *leat.Delivery, settlement leat.Settlement) {
	s.h.c.mu.Lock()
	defer s.h.c.mu.Unlock()
	out, ok := d.Handle.(*handout)
	if !ok || s.h.dead || s.closed || out.over || out.settled {
		return
	}
	out.settled = true
	s.settles++
	s.h.c.post(&op{kind: opSettle, h: s.h, out: out, event: out.event, action: settlement.Action})
}

// Capabilities implements [leat.Stream].
func (s *stream) Capabilities() leat.Capabilities {
	return leat.Capabilities{
		Order: leat.OrderPerGroup, History: !s.sub.Broadcast, Durable: true, DeliveryCount: true, NativeReject: true, Broadcast: s.sub.Broadcast,
	}
}

// Close implements [leat.Stream].
func (s *stream) Close(ctx context.Context) error {
	s.h.c.mu.Lock()
	if s.closed || s.h.dead {
		s.h.c.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.over)
	flushed := make(chan struct{})
	s.h.c.whenFlushed(s, flushed)
	s.h.c.mu.Unlock()
	select {
	case <-flushed:
	case <-ctx.Done():
	}
	s.h.c.mu.Lock()
	leases := s.leave()
	s.h.c.stir()
	s.h.c.mu.Unlock()
	for _, l := range leases {
		l.End(nil)
	}
	return nil
}

// leave takes s out of its group, gives back what it holds, and returns the leases that end with
// it.
func (s *stream) leave() []*leat.Lease {
	g := s.group
	for i, other := range g.streams {
		if other == s {
			g.streams = append(g.streams[:i:i], g.streams[i+1:]...)
			break
		}
	}
	var leases []*leat.Lease
	for _, out := range append([]*handout(nil), g.out...) {
		if out.stream == s {
			leases = append(leases, out.lease)
			s.h.c.end(out, false)
		}
	}
	if g.owner == s {
		g.topic.drop(g)
		s.h.c.forget(func(a *action) bool { return a.lane != nil && a.lane.group == g })
	}
	return leases
}
