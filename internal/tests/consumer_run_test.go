package leat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that only publishes runs like any other.
func TestRunWithoutConsumersWaitsForItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		require.NoError(t, leat.Run(ctx))
		assert.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, leat.Run(ctx, nil...), "ctx has ended already")
	})
}

func TestRunRefusesTwoConsumersOfOneGroup(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	one, two := memory.New(nil), memory.New(nil)
	h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	consumer := func(b leat.Broker, sub leat.Subscription) *leat.Consumer { return leat.NewConsumer(b, sub, h, nil) }
	orders, all := leat.Subscription{Topic: "orders", Group: "billing"}, leat.Subscription{Topic: "orders", Broadcast: true}

	err := leat.Run(ended, consumer(one, orders), consumer(one, all), consumer(one, orders))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	assert.ErrorContains(t, err, `two Consumers have the group "billing", so each event would go to only one of them`)

	assert.NoError(t, leat.Run(ended, consumer(one, all), consumer(one, all)), "each broadcast gets every event")
	assert.NoError(t, leat.Run(ended, consumer(one, orders), consumer(two, orders)), "two brokers")
	assert.NoError(t, leat.Run(ended, consumer(one, orders), consumer(one, leat.Subscription{Topic: "orders", Group: "audit"})))
	assert.NoError(t, leat.Run(ended, consumer(one, orders), consumer(one, leat.Subscription{Topic: "refunds", Group: "billing"})))
	require.NoError(t, one.Close())
	require.NoError(t, two.Close())
}
