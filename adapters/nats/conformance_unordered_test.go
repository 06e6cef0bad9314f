package nats_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
)

// unordered is a harness without Expire: nothing takes messages away from the clients of a consumer
// without a pin.
type unordered struct {
	eventtest.Injector
	eventtest.KeyInjector
	eventtest.Malformer
	eventtest.Killer
	eventtest.Pauser
	eventtest.Cutter
	eventtest.Isolator
	eventtest.Dropper
	eventtest.Holder
	eventtest.Pacer
	eventtest.Stray
	eventtest.LeaseTimer

	h *harness
}

func (u unordered) Topic() string { return u.h.Topic() }

func (u unordered) Open(ctx context.Context) (leat.Broker, error) { return u.h.Open(ctx) }

func newUnordered(t *testing.T) unordered {
	t.Helper()
	h := newHarness(t)
	return unordered{h, h, h, h, h, h, h, h, h, h, h, h, h}
}

func TestNATSConformsUnordered(t *testing.T) {
	o := committed.Unordered(nil)
	o.Beside = []eventtest.Harness{newUnordered(t)}
	eventtest.TestAdapter(t, newUnordered(t), o)
}
