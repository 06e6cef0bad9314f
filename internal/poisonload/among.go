package poisonload

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

const (
	badEvery  = 100 // good events for each that is rejected
	ahead     = 500 // published events that are not handled
	batch     = 50
	keys      = 64
	mostDelay = time.Second
	patience  = 2 * time.Minute
)

// counts returns how many events are good: 100,000 where LEAT_LONG is set, else a tenth of that.
func counts() (good, bad int) {
	good = 10_000
	if os.Getenv("LEAT_LONG") != "" {
		good = 100_000
	}
	return good, good / badEvery
}

// load is one run of Among.
type load struct {
	tb     testing.TB
	broker leat.Broker
	topic  string
	good   int
	bad    int

	room    chan struct{} // one for each event that may be published
	handled atomic.Int64

	late *lateness

	mu    sync.Mutex
	sent  map[string]sent
	worst time.Duration
}

// sent is when an event was published, and how late the machine had been by then.
type sent struct {
	at   time.Time
	late time.Duration
}

// Among publishes many good events and a rejected one in a hundred of them, and fails the test when
// a good one is handled later than a second after it was published. A machine that does not run the
// test for a while is excused by as much.
//
// The rejected events have 72 extensions, more than a poison queue has room for, and must be there.
// With refused, the poison queue refuses them all, and they must stay unsettled.
func Among(tb testing.TB, broker leat.Broker, topic string, refused bool) {
	tb.Helper()
	l := &load{tb: tb, broker: broker, topic: topic, room: make(chan struct{}, ahead), sent: map[string]sent{}}
	l.good, l.bad = counts()
	queue := middleware.PoisonQueue(leat.NewProducer(broker, nil), nil)
	o := &leat.ConsumerOptions{PoisonQueue: queue}
	if refused {
		o.PoisonQueue, o.MaxInFlight = refusing{queue}, 2*l.bad+ahead
	}
	c := leat.NewConsumer(broker, leat.Subscription{Topic: topic, Group: "g"}, leat.HandlerFunc(l.handle), o)
	ctx, stop := context.WithTimeoutCause(context.Background(), patience+time.Duration(l.good)*time.Millisecond, errLate)
	defer stop()
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, c) }()
	l.late = watch(ctx)
	until(ctx, tb, "the consumer is subscribed", func() bool {
		h := c.Health()
		return h.State == leat.Healthy
	})
	if err := publish(ctx, broker, topic, []leat.Event{good(tb, "first", 0)}); err != nil { // which takes a second on a broker that is new
		tb.Fatal(err)
	}
	l.publish(ctx)
	until(ctx, tb, "every good event is handled, and no other is left", func() bool {
		s := c.Stats()
		left := s.Poisoned
		if refused {
			left = int64(s.PoisonRefused)
		}
		return l.handled.Load() == int64(l.good) && left == int64(l.bad)
	})
	l.judge(c, refused)
	stop()
	if err := <-result; err != nil {
		tb.Errorf("Run: %v", err)
	}
}

func (l *load) judge(c *leat.Consumer, refused bool) {
	s := c.Stats()
	l.tb.Logf("%d good events and %d rejected ones; the latest was handled %v after it was published, beside what the machine "+
		"did not run, %v in all", l.good, l.bad, l.worst.Round(time.Millisecond), l.late.sum().Round(time.Millisecond))
	if l.worst > mostDelay {
		l.tb.Errorf("a good event was handled %v after it was published", l.worst)
	}
	state, reduced := leat.Healthy, int64(l.bad)
	if refused {
		state, reduced = leat.Degraded, 0
	}
	if h := c.Health(); h.State != state {
		l.tb.Errorf("the consumer is %v: %v", h.State, h.Problems)
	}
	if s.PoisonReduced != reduced {
		l.tb.Errorf("%d events were written in the reduced form, not %d", s.PoisonReduced, reduced)
	}
}

func (l *load) handle(_ context.Context, e leat.Event) error {
	if e.Type() == badType {
		return leat.Reject(errRejected)
	}
	l.mu.Lock()
	if s, ok := l.sent[e.ID()]; ok {
		delete(l.sent, e.ID())
		l.worst = max(l.worst, time.Since(s.at)-(l.late.sum()-s.late))
		l.handled.Add(1)
		<-l.room
	}
	l.mu.Unlock()
	return nil
}

// publish publishes all events past the Producer, which would refuse the bad ones.
func (l *load) publish(ctx context.Context) {
	var events []leat.Event
	for i := range l.good {
		if i%badEvery == badEvery/2 {
			events = append(events, manyAttributes(l.tb, fmt.Sprintf("bad-%d", i)))
		}
		select {
		case l.room <- struct{}{}:
		case <-ctx.Done():
			l.tb.Fatal(context.Cause(ctx))
		}
		if events = append(events, good(l.tb, strconv.Itoa(i), i%keys)); len(events) >= batch || i == l.good-1 {
			l.send(ctx, events)
			events = nil
		}
	}
}

func good(tb testing.TB, id string, key int) leat.Event {
	tb.Helper()
	e, err := leat.NewEvent("good", &leat.EventOptions{ID: id, Source: "/load", Key: fmt.Sprint("key-", key)})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func (l *load) send(ctx context.Context, events []leat.Event) {
	now := sent{time.Now(), l.late.sum()}
	l.mu.Lock()
	for _, e := range events {
		if e.Type() != badType {
			l.sent[e.ID()] = now
		}
	}
	l.mu.Unlock()
	if err := publish(ctx, l.broker, l.topic, events); err != nil {
		l.tb.Fatal(err)
	}
}
