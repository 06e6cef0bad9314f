package eventtest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/require"
)

// What the broker in memory can be made to do. It has no connections, so it cannot stop answering;
// a cut is what it would do to leases. The views have: they can be isolated.
var (
	_ eventtest.Cutter      = (*memoryHarness)(nil)
	_ eventtest.Holder      = (*memoryHarness)(nil)
	_ eventtest.Injector    = (*memoryHarness)(nil)
	_ eventtest.KeyInjector = (*memoryHarness)(nil)
	_ eventtest.Expirer     = (*memoryHarness)(nil)
	_ eventtest.Killer      = (*memoryHarness)(nil)
	_ eventtest.LeaseTimer  = (*memoryHarness)(nil)
	_ eventtest.Isolator    = (*memoryHarness)(nil)
	_ eventtest.Dropper     = (*memoryHarness)(nil)
)

// memoryHarness runs the suite on the in-memory broker. Instances of the adapter share one broker,
// so Open hands out views of it, whose Close closes what was opened through them and leaves the
// broker open. They are clients of a broker whose leases have a term.
type memoryHarness struct {
	broker *memory.Broker
	topics atomic.Int64
	lines  sync.Map // keys: the *line of each view that is open
}

func newMemoryHarness() *memoryHarness {
	return &memoryHarness{broker: memory.New(&memory.Options{Mapping: fromHeaders, LeaseDuration: viewTerm})}
}

// fromHeaders reads a raw message whose headers are the attributes.
func fromHeaders(m foreign.Message) (leat.Event, error) {
	return new(leat.Decoder).Decode(m.Headers, m.Body)
}

func (h *memoryHarness) Open(context.Context) (leat.Broker, error) {
	return h.view(), nil
}

func (h *memoryHarness) view() *view {
	v := newView(h.broker)
	h.lines.Store(v.line, true)
	v.gone = func() { h.lines.Delete(v.line) }
	return v
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
	h.cutLines()
	return nil
}

// cutLines loses what is under way between publishers and the broker.
func (h *memoryHarness) cutLines() {
	h.lines.Range(func(l, _ any) bool {
		l.(*line).cut()
		return true
	})
}

func (h *memoryHarness) Start(context.Context) error { return nil }

// Cut ends all leases, as lost connections do on brokers that take back what a connection held.
func (h *memoryHarness) Cut(context.Context) error {
	h.broker.Crash()
	h.cutLines()
	return nil
}

// LeasePeriod is after how long the broker takes back what the view has not extended.
func (h *memoryHarness) LeasePeriod() time.Duration { return viewTerm }

func (h *memoryHarness) Isolate(_ context.Context, b leat.Broker) error {
	viewOf(b).isolate()
	return nil
}

func (h *memoryHarness) Rejoin(_ context.Context, b leat.Broker) error {
	viewOf(b).rejoin()
	return nil
}

func (h *memoryHarness) Drop(_ context.Context, b leat.Broker) error {
	viewOf(b).drop()
	return nil
}

func (h *memoryHarness) Held(_ context.Context, topic, group string) (int, error) {
	_, unsettled, err := h.broker.Depth(topic, group)
	return unsettled, err
}

// TestMemoryConforms writes its report to the directory that LEAT_REPORTS names, as make
// conformance does. Without it nothing is written.
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
