package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHealthOfAnOutageFitsOnAScreen: while Kafka is down, so that nothing comes, handlers cannot
// publish and the poison queue takes nothing, the JSON of a Consumer's health has at most 24 lines
// of 120 columns.
func TestHealthOfAnOutageFitsOnAScreen(t *testing.T) {
	f := newFake(t)
	o := quick(f.ListenAddrs()...)
	o.Partitions, o.DeliveryTimeout = 12, time.Second
	b := open(t, o)
	p := leat.NewProducer(b, nil)
	down := make(chan struct{})
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	c := leat.NewConsumer(b, sub, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		<-down
		if e.Key() == "reject" {
			return leat.Reject(errors.New("no row"))
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return p.Publish(ctx, "invoices", event("i", "k"))
	}), &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(p, nil)})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, c) }()
	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: "invoices", Group: "g"}))
	require.Eventually(t, func() bool { return c.Health().State == leat.Healthy }, livePatience, 10*time.Millisecond)
	require.NoError(t, p.Publish(t.Context(), "orders", event("1", "reject"), event("2", "a"), event("3", "b")))
	require.Eventually(t, func() bool { return c.Stats().Running == 3 }, livePatience, 10*time.Millisecond)
	f.Close()
	close(down)

	require.Eventually(t, func() bool {
		text := fmt.Sprint(c.Health().Problems)
		return strings.Contains(text, "the poison queue fails") && strings.Contains(text, "handler cannot publish") &&
			strings.Contains(text, "health")
	}, livePatience, 10*time.Millisecond)
	for range 20 { // it changes while it lasts
		text, err := json.MarshalIndent(c.Health(), "", "  ")
		require.NoError(t, err)
		rows := 0
		for line := range strings.Lines(string(text)) {
			rows += (len(strings.TrimSuffix(line, "\n")) + 119) / 120
		}
		require.LessOrEqual(t, rows, 24, "%s", text)
		assert.NotContains(t, string(text), "leat: ")
		select {
		case <-time.After(100 * time.Millisecond):
		case err := <-ended:
			require.Fail(t, "the Consumer ended", "%v", err)
		}
	}
	t.Logf("%+v", c.Health().Problems)
	stop()
	err := <-ended
	t.Logf("what the outage leaves: %v", err) // it is not the matter here
}
