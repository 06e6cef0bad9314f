package eventtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// unhurried is a broker whose groups take their time: a stream that joins others gets its share
// only after delay, as on brokers that move keys between clients in rounds.
type unhurried struct {
	leat.Broker

	delay time.Duration

	mu    sync.Mutex
	known map[string]leat.Capabilities // of groups that have a stream
}

func (b *unhurried) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := sub.Topic + "/" + sub.Group
	c, known := b.known[name]
	if !known {
		s, err := b.Broker.Subscribe(ctx, sub)
		if err == nil {
			b.known[name] = s.Capabilities()
		}
		return s, err
	}
	s := &joining{sub: sub, capabilities: c, joined: make(chan struct{})}
	s.timer = time.AfterFunc(b.delay, func() {
		defer close(s.joined)
		s.inner, s.err = b.Broker.Subscribe(context.Background(), sub)
	})
	return s, nil
}

func (b *unhurried) Declare(ctx context.Context, subs ...leat.Subscription) error {
	return leat.Declare(ctx, b.Broker, subs...)
}

// joining is a stream that has no share yet.
type joining struct {
	sub          leat.Subscription
	capabilities leat.Capabilities
	timer        *time.Timer

	joined chan struct{} // what follows is set
	inner  leat.Stream
	err    error
}

func (s *joining) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	select {
	case <-s.joined:
	case <-ctx.Done():
		return 0, &leat.Error{Op: "receive", Code: leat.CodeCanceled, Err: ctx.Err()}
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.inner.Receive(ctx, into)
}

func (s *joining) Settle(d *leat.Delivery, how leat.Settlement) { s.inner.Settle(d, how) }

func (s *joining) Capabilities() leat.Capabilities { return s.capabilities }

func (s *joining) Close(ctx context.Context) error {
	if s.timer.Stop() {
		s.err = closedShell()
		close(s.joined)
		return nil
	}
	<-s.joined
	if s.inner == nil {
		return nil
	}
	return s.inner.Close(ctx)
}

// unhurriedHarness says how long that takes.
type unhurriedHarness struct {
	*memoryHarness

	delay time.Duration
}

func (h unhurriedHarness) Open(ctx context.Context) (leat.Broker, error) {
	b, err := h.memoryHarness.Open(ctx)
	return &unhurried{Broker: b, delay: h.delay, known: map[string]leat.Capabilities{}}, err
}

func (h unhurriedHarness) Pace() eventtest.Pace {
	return eventtest.Pace{Operation: h.delay + h.delay/10}
}

// TestSlowGroupPasses: a right adapter that moves keys slowly has no more to work off than a quick
// one.
func TestSlowGroupPasses(t *testing.T) {
	t.Parallel()
	h := unhurriedHarness{newMemoryHarness(), 1500 * time.Millisecond}
	report := eventtest.Check(h, &eventtest.Options{Patience: time.Second, Only: []string{"whole-no-overlap"}})
	assert.Empty(t, report.Failed(), "\n"+report.Table())
}

// TestQuickRefusalPasses: a right adapter that gives publishes up soon while the broker does not
// answer has none under way when it is closed.
func TestQuickRefusalPasses(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Nanosecond, 5 * time.Millisecond, 60 * time.Millisecond} {
		d := &defect{}
		d.publish = func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			if !d.gate.paused() {
				b.publish(ctx, topic, events, done)
				return
			}
			ids := make([]string, len(events))
			for i, e := range events {
				ids[i] = e.ID()
			}
			go func() {
				select {
				case <-time.After(timeout):
				case <-b.over:
				}
				for i, id := range ids {
					done(i, &leat.Error{Op: "publish", Topic: topic, EventID: id, Code: leat.CodeUnknown})
				}
			}()
		}
		h := shellHarness{mutantHarness{newMemoryHarness(), d.wrap()}}
		report := eventtest.Check(h, &eventtest.Options{Patience: 2 * time.Second, Only: []string{"whole-close-deadline"}})
		assert.Empty(t, report.Failed(), "%v:\n%s", timeout, report.Table())
	}
}
