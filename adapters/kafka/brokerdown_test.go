package kafka_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBrokerDown takes a real Kafka through what can happen to a process, one after the other. It
// measures, so it runs alone.
func TestBrokerDown(t *testing.T) {
	c := brokertest.StartKafka(t, nil)
	sub := leat.Subscription{Topic: "t", Group: "g"}
	o := quick(c.Addrs()...)
	o.RequestTimeout, o.DeliveryTimeout, o.CloseTimeout = 2*time.Second, 2*time.Second, time.Second

	t.Run("at the start", func(t *testing.T) {
		require.NoError(t, c.Stop())
		b := open(t, o)
		begin := time.Now()
		code(t, leat.CodeUnavailable, b.Declare(t.Context(), sub))
		_, err := b.Subscribe(t.Context(), sub)
		code(t, leat.CodeUnavailable, err)
		assert.Less(t, time.Since(begin), 2*o.RequestTimeout+500*time.Millisecond)
		code(t, leat.CodeUnavailable, b.Health())
		require.NoError(t, c.Start(t.Context()))
		require.NoError(t, await(10*time.Second, func() error { return b.Declare(t.Context(), sub) }))
		require.NoError(t, publishOne(b, "t", event("0", "k"), 10*time.Second))
		assert.NoError(t, b.Health())
	})

	t.Run("for longer than the DeliveryTimeout", func(t *testing.T) {
		b := open(t, o)
		s, err := b.Subscribe(t.Context(), sub)
		require.NoError(t, err)
		r := read(s)
		defer r.stop()
		require.NoError(t, publishOne(b, "t", event("1", "k"), 10*time.Second))
		require.NoError(t, r.until(10*time.Second, "0", "1"))
		c.Kill()
		begin := time.Now()
		errs := []error{publishOne(b, "t", event("2", "k"), 10*time.Second)}
		code(t, leat.CodeUnknown, errs[0])
		assert.InDelta(t, o.DeliveryTimeout.Seconds(), time.Since(begin).Seconds(), 0.25)
		code(t, leat.CodeUnavailable, b.Health())
		if long() {
			time.Sleep(time.Minute) // the length of the outage is what is tested
		}
		require.NoError(t, c.Start(t.Context()))
		begin = time.Now()
		require.NoError(t, await(15*time.Second, func() error { return publishOne(b, "t", event("3", "k"), 10*time.Second) }))
		require.NoError(t, r.until(15*time.Second, "3"))
		t.Logf("well again after %v", time.Since(begin))
		require.NoError(t, r.inOrder())
		require.NoError(t, await(15*time.Second, b.Health))
	})

	t.Run("paused", func(t *testing.T) {
		b := open(t, o)
		s, err := b.Subscribe(t.Context(), sub)
		require.NoError(t, err)
		r := read(s)
		defer r.stop()
		require.NoError(t, publishOne(b, "t", event("4", "k"), 10*time.Second))
		require.NoError(t, r.until(10*time.Second, "4"))
		require.NoError(t, c.Pause())
		defer func() { _ = c.Resume() }()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		under := publish(ctx, b, "t", event("5", "k"))
		assert.Less(t, time.Since(begin), 350*time.Millisecond, "Publish")
		errs, err := under.wait(o.DeliveryTimeout + 250*time.Millisecond)
		require.NoError(t, err)
		code(t, leat.CodeUnknown, errs[0])
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin = time.Now()
		_, err = b.Subscribe(ctx, leat.Subscription{Topic: "t", Group: "other"})
		code(t, leat.CodeCanceled, err)
		assert.Less(t, time.Since(begin), 350*time.Millisecond, "Subscribe")
		under = publish(t.Context(), b, "t", event("6", "k"))
		begin = time.Now()
		require.NoError(t, b.Close())
		assert.Less(t, time.Since(begin), o.CloseTimeout+250*time.Millisecond, "Close")
		errs, err = under.wait(0)
		require.NoError(t, err)
		code(t, leat.CodeUnknown, errs[0])
		require.NoError(t, c.Resume())
	})
}

// TestDiskFull publishes to a Kafka whose files must not grow beyond a limit, which is what a full
// disk looks like to it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	c := brokertest.StartKafka(t, &brokertest.KafkaOptions{FileLimit: 12 << 20, Properties: map[string]string{
		"log.segment.bytes": "67108864", "log.index.size.max.bytes": "65536",
	}})
	o := quick(c.Addrs()...)
	o.DeliveryTimeout, o.Compression = 3*time.Second, "none"
	b := open(t, o)
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: "t", Group: "g"}))
	confirmed, bad := 0, error(nil)
	for i := 0; i < 100 && bad == nil; i++ {
		if bad = publishOne(b, "t", sized("e", "k", 500_000), 10*time.Second); bad == nil {
			confirmed++
		}
	}
	t.Logf("%d confirmed, then %v", confirmed, bad)
	assert.Contains(t, []leat.Code{leat.CodeUnknown, leat.CodeUnavailable}, leat.CodeOf(bad), "%v", bad)
	require.Error(t, await(0, b.Health))
	other := open(t, o)
	late := publish(t.Context(), other, "t", event("0", "k"))
	begin := time.Now()
	require.NoError(t, other.Close())
	assert.Less(t, time.Since(begin), o.CloseTimeout+250*time.Millisecond)
	_, err := late.wait(0)
	require.NoError(t, err)

	// With more room the broker starts again, and has what it had confirmed.
	c.LiftFileLimit()
	require.NoError(t, c.Stop())
	require.NoError(t, c.Start(t.Context()))
	require.NoError(t, await(15*time.Second, func() error { return publishOne(b, "t", event("last", "k"), 10*time.Second) }))
	require.NoError(t, await(15*time.Second, b.Health))
	ids, err := stored("t", c.Addrs()...)
	require.NoError(t, err)
	all, n := slices.Concat(ids...), 0
	for _, id := range all {
		if id == "e" {
			n++
		}
	}
	assert.GreaterOrEqual(t, n, confirmed, "what was confirmed is lost")
	assert.Contains(t, all, "last")
}
