package eventtest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
)

// memoryHarness runs the suite on the in-memory broker. Instances of the adapter share one broker, so Open hands out views of it whose
// Close leaves it open.
type memoryHarness struct {
	broker *memory.Broker
	topics atomic.Int64
}

func newMemoryHarness() *memoryHarness { return &memoryHarness{broker: memory.New(nil)} }

func (h *memoryHarness) Open(context.Context) (leat.Broker, error) { return view{h.broker}, nil }

func (h *memoryHarness) Topic() string { return fmt.Sprintf("topic-%d", h.topics.Add(1)) }

func (h *memoryHarness) Inject(_ context.Context, topic string, m leat.Malformed) error {
	return h.broker.DeliverRaw(topic, m)
}

func (h *memoryHarness) Expire(_ context.Context, topic, group string) error {
	return h.broker.ExpireLeases(topic, group)
}

type view struct{ *memory.Broker }

func (view) Close() error { return nil }

func TestMemoryConforms(t *testing.T) {
	eventtest.TestAdapter(t, newMemoryHarness(), nil)
}
