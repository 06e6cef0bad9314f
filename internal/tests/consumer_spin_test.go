package leat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// A Postpone or a Pause without a time takes a millisecond, so that it does not spin.
func TestPostponeAndPauseWithoutATimeDoNotSpin(t *testing.T) {
	for name, err := range map[string]error{"postpone": leat.Postpone(0, nil), "pause": leat.Pause(0, nil)} {
		synctest.Test(t, func(t *testing.T) {
			b := memory.New(nil)
			sub := leat.Subscription{Topic: "orders", Group: "g"}
			require.NoError(t, leat.Declare(t.Context(), b, sub))
			e, failed := leat.NewEvent("a", &leat.EventOptions{Source: "/x"})
			require.NoError(t, failed)
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", e))
			calls := 0
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			start := time.Now()
			c := leat.NewConsumer(b, sub, leat.HandlerFunc(func(context.Context, leat.Event) error {
				if calls++; calls > 1000 {
					cancel()
				}
				return err
			}), nil)
			require.NoError(t, leat.Run(ctx, c))
			assert.Equal(t, time.Second, time.Since(start), name)
			require.NoError(t, b.Close())
		})
	}
}
