package memory_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
)

// named opens URLs, and closes what a test left open.
func named(t *testing.T) (open func(url string) leat.Broker) {
	t.Helper()
	brokers := leat.Openers{"mem": memory.NewOpener()}
	return func(url string) leat.Broker {
		b, err := brokers.Open(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, b.Close()) })
		return b
	}
}

func handled(t *testing.T, b leat.Broker, topic string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var mu sync.Mutex
	var ids []string
	sub := leat.Subscription{Topic: topic, Group: "billing"}
	require.NoError(t, leat.Run(ctx, leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, e.ID())
		return nil
	}), nil)))
	return ids
}

// Connections to one name share a broker, which lives as long as one of them.
func TestNamedBrokersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := named(t)
		shop, billing, other := open("mem://shop"), open("mem://shop?buffer=10000"), open("mem://other")
		es := events(t, "k", 3)
		require.NoError(t, leat.NewProducer(shop, nil).Publish(t.Context(), "orders", es...))
		require.NoError(t, shop.Close())
		require.NoError(t, shop.Close())
		requireCode(t, leat.CodeClosed, leat.NewProducer(shop, nil).Publish(t.Context(), "orders", es...))
		assert.Len(t, handled(t, billing, "orders"), 3, "the other connection goes on")
		assert.Empty(t, handled(t, other, "orders"), "another name is another broker")
		assert.Empty(t, handled(t, named(t)("mem://shop"), "orders"), "and so is another opener")
		require.NoError(t, billing.Close())
		assert.Empty(t, handled(t, open("mem://shop"), "orders"), "the last Close ended it")
	})
}

// The end of a connection ends its own streams and waits, and no others.
func TestNamedConnectionEndsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := named(t)
		one, two := open("mem://shop?buffer=1"), open("mem://shop?buffer=1")
		sub := leat.Subscription{Topic: "orders", Group: "billing"}.WithDefaults()
		require.NoError(t, leat.Declare(t.Context(), one, sub))
		mine, err := one.Subscribe(t.Context(), sub)
		require.NoError(t, err)
		theirs, err := two.Subscribe(t.Context(), sub)
		require.NoError(t, err)
		require.NoError(t, mine.Close(t.Context()))
		mine, err = one.Subscribe(t.Context(), sub)
		require.NoError(t, err)

		result := make(chan error, 1)
		es := events(t, "k", 5)
		go func() { result <- leat.NewProducer(one, nil).Publish(t.Context(), "orders", es...) }()
		synctest.Wait() // it waits for room
		require.NoError(t, one.Close())
		requireCode(t, leat.CodeClosed, <-result)
		_, err = mine.Receive(t.Context(), make([]leat.Delivery, 1))
		requireCode(t, leat.CodeClosed, err)
		n, err := theirs.Receive(t.Context(), make([]leat.Delivery, 1))
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	})
}

func TestNamedBrokersRefuse(t *testing.T) {
	brokers := leat.Openers{"mem": memory.NewOpener()}
	for _, url := range []string{
		"mem://shop?bufer=5", "mem://shop/path", "mem://a,b", "mem://user:pw@shop", "mem://shop?history=1&no_history=true",
	} {
		_, err := brokers.Open(t.Context(), url)
		requireCode(t, leat.CodeInvalid, err)
		assert.NotContains(t, err.Error(), "pw@")
	}
	first, err := brokers.Open(t.Context(), "mem://shop?buffer=5")
	require.NoError(t, err)
	_, err = brokers.Open(t.Context(), "mem://shop")
	requireCode(t, leat.CodeConflict, err)
	private, err := brokers.Open(t.Context(), "mem://")
	require.NoError(t, err, "without a name it is private, as with Open")
	require.IsType(t, &memory.Broker{}, private)
	require.NoError(t, first.Close())
	second, err := brokers.Open(t.Context(), "mem://shop")
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.NoError(t, private.Close())
}

// namedHarness lets the suite for adapters test the connections.
type namedHarness struct {
	brokers leat.Openers
	topics  *atomic.Int64
}

func (h namedHarness) Open(ctx context.Context) (leat.Broker, error) {
	return h.brokers.Open(ctx, "mem://suite")
}

func (h namedHarness) Topic() string { return fmt.Sprint("topic-", h.topics.Add(1)) }

func TestNamedConnectionsConform(t *testing.T) {
	h := namedHarness{leat.Openers{"mem": memory.NewOpener()}, &atomic.Int64{}}
	first, err := h.Open(t.Context()) // as a broker that runs, whoever is connected
	require.NoError(t, err)
	eventtest.TestAdapter(t, h, nil)
	require.NoError(t, first.Close())
}
