package leatprometheus_test

import (
	"context"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatprometheus "github.com/leatgo/leat/middleware/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func handle(context.Context, leat.Event) error { return nil }

// TestAWrongConsumerFailsNoScrape: its topic is not even a text.
func TestAWrongConsumerFailsNoScrape(t *testing.T) {
	b := newBench(t, nil)
	b.metrics.Watch(nil, new(leat.Consumer), leat.NewConsumer(b.broker, leat.Subscription{Topic: "\xff", Group: "\xfe"},
		leat.HandlerFunc(handle), nil))
	b.metrics.WatchProducers(nil, new(leat.Producer))
	_, err := b.registry.Gather()
	require.NoError(t, err)
}

// longError is an error whose instantiated types have long names that are not ASCII.
type longError[T any] struct{}

func (longError[T]) Error() string { return "" }

// TestNamesOfTypesAreCutBetweenCharacters: a label that is not UTF-8 panics in the library of
// Prometheus, which would be a panic of the handler.
func TestNamesOfTypesAreCutBetweenCharacters(t *testing.T) {
	b := newBench(t, nil)
	for _, err := range []error{
		longError[struct {
			X int `json:"ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää"` //nolint:lll // a long name is the point
		}]{},
		longError[struct {
			X int `json:"xääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää"` //nolint:lll // a long name is the point
		}]{},
	} {
		h := b.metrics.Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { return err }))
		assert.NotPanics(t, func() { _ = h.Handle(t.Context(), b.event("1", strings.Repeat("ä", 1_000))) })
	}
	_, err := b.registry.Gather()
	require.NoError(t, err)
}

// TestSeveralInOneRegistry: one Metrics is registered once, and those of two brokers need a label.
func TestSeveralInOneRegistry(t *testing.T) {
	b := newBench(t, nil)
	require.ErrorAs(t, b.registry.Register(b.metrics), new(prometheus.AlreadyRegisteredError))
	registry := prometheus.NewPedanticRegistry()
	for _, name := range []string{"a", "b"} {
		broker := memory.New(nil)
		m, err := leatprometheus.New(broker, nil)
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, m.Close())
			require.NoError(t, m.Close(), "twice")
			require.NoError(t, broker.Close())
		})
		require.NoError(t, prometheus.WrapRegistererWith(prometheus.Labels{"cluster": name}, registry).Register(m))
		m.Watch(leat.NewConsumer(broker, orders, leat.HandlerFunc(handle), nil))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	limits := 0
	for _, f := range families {
		if f.GetName() == "leat_consumer_in_flight_limit" {
			limits = len(f.GetMetric())
		}
	}
	assert.Equal(t, 2, limits)
}
