package eventtest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// orderless is a broker that has no order by key to offer.
type orderless struct{ *view }

func (b orderless) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if sub.Validate() == nil && !sub.Unordered {
		return nil, &leat.Error{Op: "subscribe", Topic: sub.Topic, Code: leat.CodeUnsupported,
			Err: errors.New("there is no order; set Unordered")}
	}
	return b.view.Subscribe(ctx, sub)
}

// Declare refuses a group with order as Subscribe does: the poison queue's group of an Unordered
// consumer has none either.
func (b orderless) Declare(ctx context.Context, subs ...leat.Subscription) error {
	for _, sub := range subs {
		if sub.Validate() == nil && !sub.Unordered {
			return &leat.Error{Op: "declare", Topic: sub.Topic, Code: leat.CodeUnsupported, Err: errors.New("there is no order; set Unordered")}
		}
	}
	return b.view.Declare(ctx, subs...)
}

type orderlessHarness struct{ *memoryHarness }

func (h orderlessHarness) Open(context.Context) (leat.Broker, error) {
	return orderless{h.view()}, nil
}

// TestAdapterWithoutOrder: an adapter that refuses every subscription with order by key is tested
// without it.
func TestAdapterWithoutOrder(t *testing.T) {
	report := eventtest.TestAdapter(t, orderlessHarness{newMemoryHarness()}, nil)
	var skipped []string
	for _, r := range report.Results {
		if r.Status == eventtest.Skipped && r.Seen[0] == "needed: "+string(eventtest.NeedOrder) {
			skipped = append(skipped, r.Case)
		}
	}
	assert.Subset(t, skipped, []string{"order-of-a-key", "key-exclusion", "whole-slow-key"})
	assert.Less(t, len(skipped), 20, "most cases do not depend on order")
}
