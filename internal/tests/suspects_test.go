package leat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// life is the broker as one process sees it. A crash cuts it off: nothing that the process does
// reaches the broker any more, and what its streams held is delivered again.
type life struct {
	leat.Broker

	deliveries atomic.Int64 // added to the broker's count of each delivery
	dead       atomic.Bool

	mu      sync.Mutex
	streams []*lifeStream
}

func newLife(b leat.Broker, deliveries int64) *life {
	l := &life{Broker: b}
	l.deliveries.Store(deliveries)
	return l
}

func (l *life) Publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if l.dead.Load() {
		for i, e := range events {
			done(i, &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: leat.CodeUnavailable, Err: errors.New("cut off")})
		}
		return
	}
	l.Broker.Publish(ctx, topic, events, done)
}

func (l *life) Declare(ctx context.Context, subs ...leat.Subscription) error {
	return leat.Declare(ctx, l.Broker, subs...)
}

func (l *life) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if l.dead.Load() {
		return nil, &leat.Error{Op: "subscribe", Topic: sub.Topic, Code: leat.CodeUnavailable, Err: errors.New("cut off")}
	}
	s, err := l.Broker.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	own := &lifeStream{Stream: s, l: l, sub: sub}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = append(l.streams, own)
	return own, nil
}

// crash ends the process, for the broker.
func (l *life) crash() {
	l.dead.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		_ = s.Stream.Close(context.Background())
	}
}

type lifeStream struct {
	leat.Stream

	l     *life
	sub   leat.Subscription
	quiet atomic.Int64 // how often it was told that nobody receives any more
	over  atomic.Int64 // what that was when it was closed
}

func (s *lifeStream) Quiesce() { s.quiet.Add(1) }

func (s *lifeStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	n, err := s.Stream.Receive(ctx, into)
	if s.l.dead.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	for i := range into[:n] {
		into[i].Deliveries += int(s.l.deliveries.Load())
	}
	return n, err
}

func (s *lifeStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if !s.l.dead.Load() {
		s.Stream.Settle(d, how)
	}
}

func (s *lifeStream) Close(ctx context.Context) error {
	s.over.Store(s.quiet.Load())
	if s.l.dead.Load() {
		return nil
	}
	return s.Stream.Close(ctx)
}

// group is a service of which each process is a life.
type group struct {
	t      *testing.T
	broker *memory.Broker
	o      leat.ConsumerOptions

	mu       sync.Mutex
	poisoned []leat.Poisoned
	tr       *trace
}

func newGroup(t *testing.T, maxDeliveries int) *group {
	t.Helper()
	g := &group{t: t, broker: memory.New(nil), tr: newTrace()}
	t.Cleanup(func() { _ = g.broker.Close() })
	g.o = leat.ConsumerOptions{MaxDeliveries: maxDeliveries, PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.poisoned = append(g.poisoned, p)
		return nil
	})}
	require.NoError(t, leat.Declare(t.Context(), g.broker, testSub))
	return g
}

func (g *group) publish(events ...leat.Event) {
	g.t.Helper()
	require.NoError(g.t, leat.NewProducer(g.broker, nil).Publish(g.t.Context(), testSub.Topic, events...))
}

func (g *group) poisonedIDs() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := []string{}
	for _, p := range g.poisoned {
		ids = append(ids, p.Event.ID())
	}
	return ids
}

// process starts one process of the group, which adds to the count of deliveries as its
// predecessors did.
func (g *group) process(deliveries int64, h leat.HandlerFunc) (*life, *running) {
	g.t.Helper()
	l := newLife(g.broker, deliveries)
	o := g.o
	return l, start(g.t, l, h, &o)
}

// kill ends a process as a crash does.
func (r *running) kill(l *life) {
	l.crash()
	_ = r.stop() // what it returns dies with it
}

// An event that ends the process each time is poisoned after two runs alone; those around it,
// delivered as often, are handled.
func TestOnlyTheSuspectThatCrashesIsPoisoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		for i := range 20 {
			g.publish(event(t, fmt.Sprint(i), fmt.Sprint("k", i%4)))
		}
		var mu sync.Mutex
		handled, crashed := map[string]int{}, 0
		for range 10 {
			died := make(chan struct{})
			var once sync.Once
			l, r := g.process(0, func(ctx context.Context, e leat.Event) error {
				if e.ID() == "7" {
					mu.Lock()
					crashed++
					mu.Unlock()
					once.Do(func() { close(died) })
					<-ctx.Done()
					return ctx.Err()
				}
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				handled[e.ID()]++
				mu.Unlock()
				return nil
			})
			select {
			case <-died:
				r.kill(l)
			case <-time.After(time.Minute):
				r.stopClean()
			}
		}
		assert.Equal(t, []string{"7"}, g.poisonedIDs())
		mu.Lock()
		defer mu.Unlock()
		assert.Len(t, handled, 19)
		assert.Equal(t, 5, crashed, "three deliveries, and two runs as a suspect")
		assert.ErrorContains(t, g.poisoned[0].Reason, "2 runs of it alone ended with the process")
	})
}

// Prefetching and giving back is no crash, however often: clean restarts, lost leases and handlers
// that fail or ask for a delay.
func TestHealthySuspectsAreHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		for i := range 50 {
			g.publish(event(t, fmt.Sprint(i), fmt.Sprint("k", i%5)))
		}
		for n := range 20 {
			_, r := g.process(0, func(ctx context.Context, _ leat.Event) error {
				time.Sleep(20 * time.Millisecond)
				switch n % 4 {
				case 0:
					return errBoom
				case 1:
					return leat.RetryAfter(time.Hour, errBoom)
				case 2:
					<-ctx.Done()
					return ctx.Err()
				}
				panic("boom")
			})
			time.Sleep(100 * time.Millisecond)
			if n%3 == 0 {
				g.broker.Crash()
			}
			_ = r.stop() // it names the panics
		}
		assert.Empty(t, g.poisonedIDs())
		handled := map[string]bool{}
		var running, most int
		var mu sync.Mutex
		_, r := g.process(0, func(_ context.Context, e leat.Event) error {
			mu.Lock()
			running++
			most = max(most, running)
			handled[e.ID()] = true
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		})
		time.Sleep(20 * time.Millisecond)
		h := r.consumer.Health()
		assert.Equal(t, leat.Degraded, h.State)
		require.Len(t, h.Problems, 1)
		assert.ErrorContains(t, h.Problems[0], "MaxDeliveries")
		assert.Positive(t, r.consumer.Stats().Suspects)
		time.Sleep(time.Minute)
		mu.Lock()
		assert.Len(t, handled, 50)
		assert.Equal(t, 1, most, "each runs alone")
		mu.Unlock()
		assert.Equal(t, leat.Health{}, r.consumer.Health())
		assert.Zero(t, r.consumer.Stats().Suspects)
		r.stopClean()
		assert.Empty(t, g.poisonedIDs())
	})
}

// TestASuspectBehindARefusedEventRunsAlone: what passes an event that the poison queue refuses is
// no less a suspect for that.
func TestASuspectBehindARefusedEventRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.DeliveryCount = true
		b.publish = func(_ context.Context, topic string, _ []leat.Event, done func(int, error)) {
			done(0, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: errBoom}) // no run can be noted
		}
		tr := newTrace()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			tr.add("%s", e.ID())
			if e.ID() == "bad" {
				return leat.Reject(errBoom)
			}
			return nil
		}, &leat.ConsumerOptions{MaxDeliveries: 3, PassRefused: true, PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
			return queueError(leat.CodeTooLarge, testPoisonTopic)
		})})
		lease := leat.NewLease()
		b.deliver(lease, event(t, "bad", "k"))
		b.deliverRaw(leat.Delivery{Event: event(t, "suspect", "k"), Lease: lease, Position: leat.Position{ID: "suspect"}, Deliveries: 9})
		b.deliver(lease, event(t, "after", "j"))
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, []string{"bad", "after"}, tr.all(), "the suspect waits until its run can be noted")
		assert.Equal(t, 1, r.consumer.Stats().Suspects)
		r.stopClean()
	})
}
