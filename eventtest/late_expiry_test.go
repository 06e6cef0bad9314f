package eventtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// lateExpiry is a broker whose clients hear of an expiry later than the suite is quiet for.
type lateExpiry struct {
	*exampleHarness

	quiet time.Duration
}

func (h *lateExpiry) Expire(ctx context.Context, topic, group string) error {
	h.front.Freeze()
	time.AfterFunc(10*h.quiet, h.front.Thaw)
	return h.exampleHarness.Expire(ctx, topic, group)
}

// TestLateExpiryPasses: a stream that settles before it can know that its leases have expired loses
// the settlements and the leases, which is no fault of the adapter.
func TestLateExpiryPasses(t *testing.T) {
	h := &lateExpiry{newExampleHarness(t), 20 * time.Millisecond}
	report := eventtest.Check(h, &eventtest.Options{Only: []string{"held-comes-once"}, Quiet: h.quiet})
	assert.Empty(t, report.Failed(), "%v", report)
}
