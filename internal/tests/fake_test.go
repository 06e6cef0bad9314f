package leat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
)

// fakeBroker plays an adapter whose every move a test decides: it delivers what it is told to and
// writes down every settlement. The in-memory broker is tested with the Consumer elsewhere; this
// one can do what that never does.
type fakeBroker struct {
	limits  leat.Limits
	caps    leat.Capabilities
	publish func(ctx context.Context, topic string, events []leat.Event, done func(i int, err error))
	declare func(subs []leat.Subscription) error

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every change
	queue     []leat.Delivery
	settled   []settled
	streamErr error
	closed    bool
	received  int
	sub       leat.Subscription
	health    error
}

type settled struct {
	id     string
	action leat.Action
	delay  time.Duration
	at     time.Time
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{changed: make(chan struct{}), caps: leat.Capabilities{Order: leat.OrderPerGroup}}
}

func (b *fakeBroker) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *fakeBroker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if b.publish != nil {
		b.publish(ctx, topic, events, done)
		return
	}
	for i := range events {
		done(i, nil)
	}
}

func (b *fakeBroker) Declare(_ context.Context, subs ...leat.Subscription) error {
	if b.declare != nil {
		return b.declare(subs)
	}
	return nil
}

func (b *fakeBroker) Subscribe(_ context.Context, sub leat.Subscription) (leat.Stream, error) {
	b.sub = sub
	return fakeStream{b}, nil
}

func (b *fakeBroker) Limits() leat.Limits { return b.limits }

func (b *fakeBroker) Capabilities() leat.Capabilities { return b.caps }

func (b *fakeBroker) Health() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.health
}

func (b *fakeBroker) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.streamErr != nil {
			return 0, b.streamErr
		}
		if n := copy(into, b.queue); n > 0 {
			b.queue = b.queue[n:]
			b.received += n
			return n, nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		b.mu.Lock()
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

func (b *fakeBroker) Settle(d *leat.Delivery, s leat.Settlement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := d.Position.ID
	b.settled = append(b.settled, settled{id, s.Action, s.Delay, time.Now()})
}

// Close closes the broker, which is nothing to a fake.
func (b *fakeBroker) Close() error { return nil }

// fakeStream is the fakeBroker's only stream. It is a type of its own because the two Close methods
// differ.
type fakeStream struct{ *fakeBroker }

func (s fakeStream) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// deliver queues events on lease.
func (b *fakeBroker) deliver(lease *leat.Lease, events ...leat.Event) {
	for _, e := range events {
		b.deliverRaw(leat.Delivery{Event: e, Lease: lease, Position: leat.Position{ID: e.ID()}})
	}
}

func (b *fakeBroker) deliverRaw(d leat.Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, d)
	b.change()
}

func (b *fakeBroker) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streamErr = err
	b.change()
}

// settlements returns what was settled, as "id action".
func (b *fakeBroker) settlements() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []string{}
	for _, s := range b.settled {
		action := map[leat.Action]string{leat.Ack: "ack", leat.GiveBack: "back", leat.NativeReject: "reject"}[s.action]
		out = append(out, s.id+" "+action)
	}
	return out
}

func (b *fakeBroker) receivedCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.received
}

// event returns an event with an id and a key, which may be empty.
func event(tb testing.TB, id, key string) leat.Event {
	tb.Helper()
	e, err := leat.NewEvent("com.example.test", &leat.EventOptions{ID: id, Source: "/test", Key: key, Data: []byte(`{"n":1}`)})
	require.NoError(tb, err)
	return e
}

// running is a Consumer that a test runs in a bubble of fake time.
type running struct {
	t        *testing.T
	consumer *leat.Consumer
	cancel   context.CancelFunc
	result   chan error
}

var testSub = leat.Subscription{Topic: "orders", Group: "billing"}

// start runs a consumer on b until stop is called.
func start(t *testing.T, b leat.Broker, h leat.HandlerFunc, o *leat.ConsumerOptions) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, consumer: leat.NewConsumer(b, testSub, h, o), cancel: cancel, result: make(chan error, 1)}
	go func() { r.result <- leat.Run(ctx, r.consumer) }()
	synctest.Wait()
	return r
}

// stop ends Run's context and returns what Run returned.
func (r *running) stop() error {
	r.cancel()
	return <-r.result
}

// stopClean fails the test when Run returns an error.
func (r *running) stopClean() {
	r.t.Helper()
	require.NoError(r.t, r.stop())
}

// trace is a log of handler calls that several goroutines write.
type trace struct {
	mu    sync.Mutex
	lines []string
	start time.Time
}

func newTrace() *trace { return &trace{start: time.Now()} }

func (tr *trace) add(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, fmt.Sprintf(format, args...))
}

// at adds a line that begins with the fake time since the trace began.
func (tr *trace) at(format string, args ...any) {
	tr.add("%v "+format, append([]any{time.Since(tr.start)}, args...)...)
}

func (tr *trace) all() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return append([]string{}, tr.lines...)
}

// poisonFunc is a function as a PoisonQueue.
type poisonFunc func(ctx context.Context, p leat.Poisoned) error

func (f poisonFunc) Poison(ctx context.Context, p leat.Poisoned) error { return f(ctx, p) }

func (poisonFunc) Topic(sub leat.Subscription) string { return leat.PoisonTopic(sub.Topic, sub.Group) }

var errBoom = errors.New("boom")
