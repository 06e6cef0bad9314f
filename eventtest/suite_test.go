package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/require"
)

// What the broker in memory can be made to do. It has no connections, so it cannot stop answering; a cut is what it would do to leases.
var (
	_ eventtest.Cutter      = (*memoryHarness)(nil)
	_ eventtest.Holder      = (*memoryHarness)(nil)
	_ eventtest.Injector    = (*memoryHarness)(nil)
	_ eventtest.KeyInjector = (*memoryHarness)(nil)
	_ eventtest.Expirer     = (*memoryHarness)(nil)
	_ eventtest.Killer      = (*memoryHarness)(nil)
)

// memoryHarness runs the suite on the in-memory broker. Instances of the adapter share one broker, so Open hands out views of it, whose
// Close closes what was opened through them and leaves the broker open.
type memoryHarness struct {
	broker *memory.Broker
	topics atomic.Int64
}

func newMemoryHarness() *memoryHarness {
	return &memoryHarness{broker: memory.New(&memory.Options{Mapping: fromHeaders})}
}

// fromHeaders reads a raw message whose headers are the attributes.
func fromHeaders(m foreign.Message) (leat.Event, error) { return leat.DecodeEvent(m.Headers, m.Body) }

func (h *memoryHarness) Open(context.Context) (leat.Broker, error) {
	return &view{broker: h.broker}, nil
}

func (h *memoryHarness) Topic() string { return fmt.Sprintf("topic-%d", h.topics.Add(1)) }

func (h *memoryHarness) Inject(_ context.Context, topic string, m leat.Malformed) error {
	return h.broker.DeliverRaw(topic, m)
}

func (h *memoryHarness) InjectKeyed(_ context.Context, topic, key string, e leat.Event) error {
	m := leat.Malformed{Key: []byte(key), Body: e.Data()}
	for name, value := range e.Attributes() {
		m.Headers = append(m.Headers, leat.Header{Name: name, Value: []byte(value)})
	}
	return h.broker.DeliverRaw(topic, m)
}

func (h *memoryHarness) Expire(_ context.Context, topic, group string) error {
	return h.broker.ExpireLeases(topic, group)
}

// Kill crashes the broker, which is back at once.
func (h *memoryHarness) Kill(context.Context) error {
	h.broker.Crash()
	return nil
}

func (h *memoryHarness) Start(context.Context) error { return nil }

// Cut ends all leases, as lost connections do on brokers that take back what a connection held.
func (h *memoryHarness) Cut(context.Context) error {
	h.broker.Crash()
	return nil
}

func (h *memoryHarness) Held(_ context.Context, topic, group string) (int, error) {
	_, unsettled, err := h.broker.Depth(topic, group)
	return unsettled, err
}

// view is one client of a memory broker that others use as well.
type view struct {
	broker *memory.Broker

	mu      sync.Mutex
	closed  bool
	streams []leat.Stream
}

// refuse returns the error of every call after Close.
func (v *view) refuse(op, topic string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		return nil
	}
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: errors.New("this view of the memory broker is closed")}
}

func (v *view) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if err := v.refuse("publish", topic); err != nil {
		for i := range events {
			done(i, err)
		}
		return
	}
	v.broker.Publish(ctx, topic, events, done)
}

func (v *view) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := v.refuse("subscribe", sub.Topic); err != nil {
		return nil, err
	}
	s, err := v.broker.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.streams = append(v.streams, s)
	closed := v.closed
	v.mu.Unlock()
	if closed { // in between
		return nil, errors.Join(v.refuse("subscribe", sub.Topic), s.Close(ctx))
	}
	return s, nil
}

func (v *view) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := v.refuse("declare", ""); err != nil {
		return err
	}
	return v.broker.Declare(ctx, subs...)
}

func (v *view) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	if err := v.refuse("lag", topic); err != nil {
		return leat.Lag{}, err
	}
	return v.broker.Lag(ctx, topic, group)
}

func (v *view) Health() error {
	if err := v.refuse("health", ""); err != nil {
		return err
	}
	return v.broker.Health()
}

func (v *view) Limits() leat.Limits { return v.broker.Limits() }

func (v *view) Close() error {
	v.mu.Lock()
	streams := v.streams
	v.closed, v.streams = true, nil
	v.mu.Unlock()
	var errs []error
	for _, s := range streams {
		errs = append(errs, s.Close(context.Background()))
	}
	return errors.Join(errs...)
}

// TestMemoryConforms writes its report to the directory that LEAT_REPORTS names, as make conformance does. Without it nothing is written.
func TestMemoryConforms(t *testing.T) {
	report := eventtest.TestAdapter(t, newMemoryHarness(), nil)
	dir := os.Getenv("LEAT_REPORTS")
	if dir == "" {
		return
	}
	require.Len(t, report.Results, len(eventtest.Cases()), "the report of a part of the suite is not written")
	report.Adapter, report.Broker = "memory", "in the process, kills simulated"
	require.NoError(t, report.WriteFile(filepath.Join(dir, "memory.json")))
}
