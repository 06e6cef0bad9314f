package eventtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// withholdingHarness runs the suite on streams that withhold later deliveries of a key while ofKey
// earlier ones are unsettled.
type withholdingHarness struct {
	*memoryHarness

	ofKey int
}

func (h withholdingHarness) Open(ctx context.Context) (leat.Broker, error) {
	b, err := h.memoryHarness.Open(ctx)
	return bend(func(bent *bent) {
		bent.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
			s := newAhead(sub, inner)
			if !sub.Unordered {
				s.mu.Lock()
				s.ofKey = h.ofKey
				s.mu.Unlock()
			}
			return s
		}
	})(b), err
}

// candidHarness says what it withholds.
type candidHarness struct{ withholdingHarness }

func (h candidHarness) Pace() eventtest.Pace { return eventtest.Pace{OfKey: h.ofKey} }

// TestWithholdingAdapterConforms: R3 lets a stream withhold later deliveries of a key. One that
// says how many of a key it hands out passes every case.
func TestWithholdingAdapterConforms(t *testing.T) {
	for _, ofKey := range []int{1, 10} {
		t.Run(fmt.Sprint(ofKey), func(t *testing.T) {
			eventtest.TestAdapter(t, candidHarness{withholdingHarness{newMemoryHarness(), ofKey}}, nil)
		})
	}
}

// TestWithholdingIsDeclared: the same adapter fails cases that have more deliveries of a key
// unsettled, where the harness does not say so.
func TestWithholdingIsDeclared(t *testing.T) {
	h := withholdingHarness{newMemoryHarness(), 1}
	cases := []string{"ack-ends", "give-back-order", "order-of-a-key", "settle-after-loss"}
	report := eventtest.Check(h, &eventtest.Options{Patience: 200 * time.Millisecond, Only: cases})
	assert.ElementsMatch(t, cases, report.Failed())
}
