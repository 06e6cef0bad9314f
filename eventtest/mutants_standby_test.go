package eventtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// standbyMutants say of Standby what is not so.
func standbyMutants() []mutant {
	return []mutant{{
		name: "declares standby and shares", rule: "standby", others: []string{"drain-awaits-release"},
		wrap: saysStandby(true),
	}}
}

func saysStandby(standby bool) func(leat.Broker) leat.Broker {
	return bendStreams(func(sub leat.Subscription, s *bentStream) {
		s.capabilities = func(c leat.Capabilities, _ bool) leat.Capabilities {
			c.Standby = standby && !sub.Broadcast
			return c
		}
	})
}

// hidingHarness hands out the example's adapter, whose streams stand by, and says that they share.
type hidingHarness struct{ *exampleHarness }

func (h hidingHarness) Open(ctx context.Context) (leat.Broker, error) {
	b, err := h.exampleHarness.Open(ctx)
	return saysStandby(false)(b), err
}

// TestHiddenStandbyIsCaught: streams that stand by although they do not say so.
func TestHiddenStandbyIsCaught(t *testing.T) {
	report := eventtest.Check(hidingHarness{newExampleHarness(t)}, &eventtest.Options{
		Patience: time.Second, Only: []string{"standby", "group-shares", "ack-ends"},
	})
	assert.Equal(t, []string{"standby"}, report.Failed())
}
