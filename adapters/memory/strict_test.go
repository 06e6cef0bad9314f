package memory_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// A strict broker has what was declared and nothing else, and a topic that is declared later works
// from then on.
func TestStrict(t *testing.T) {
	opened, err := memory.Open(t.Context(), &url.URL{Scheme: "mem", RawQuery: "provision=strict"})
	require.NoError(t, err)
	defer func() { require.NoError(t, opened.Close()) }()
	b := opened.(*memory.Broker)
	p := leat.NewProducer(b, nil)
	all := leat.Subscription{Topic: "orders", Broadcast: true}

	refused := p.Publish(t.Context(), "orders", events(t, "k", 1)...)
	requireCode(t, leat.CodeNotFound, refused)
	for _, help := range []string{"nobody has declared the topic", "ProducerOptions.Topics", "leat.Declare"} {
		require.ErrorContains(t, refused, help)
	}
	for _, sub := range []leat.Subscription{all, {Topic: "orders", Group: "billing"}} {
		_, err := b.Subscribe(t.Context(), sub)
		requireCode(t, leat.CodeNotFound, err)
	}
	requireCode(t, leat.CodeNotFound, b.DeliverRaw("orders", leat.Malformed{}))

	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: "orders"}))
	require.NoError(t, p.Publish(t.Context(), "orders", events(t, "k", 2)...))
	s, err := b.Subscribe(t.Context(), all)
	require.NoError(t, err)
	require.NoError(t, s.Close(t.Context()))
	_, err = b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Group: "billing"})
	requireCode(t, leat.CodeNotFound, err)
	declare(t, b, billing)
	requireDepth(t, b, 2, 0)

	declaring := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"refunds"}})
	require.NoError(t, declaring.Publish(t.Context(), "refunds", events(t, "k", 1)...))
	requireCode(t, leat.CodeNotFound, declaring.Publish(t.Context(), "returns", events(t, "k", 1)...))
}
