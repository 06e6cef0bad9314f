package leatotel_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// panickingLag is a broker that panics when it is asked for lag.
type panickingLag struct{ *memory.Broker }

func (panickingLag) Lag(context.Context, string, string) (leat.Lag, error) { panic("no lag") }

// TestABrokerThatPanicsForLag: the question runs on a goroutine of its own, whose panic would end
// the process.
func TestABrokerThatPanicsForLag(t *testing.T) {
	var log bytes.Buffer
	b := newBench(t, leatotel.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	b.telemetry.Watch(leat.NewConsumer(panickingLag{b.broker}, orders, leat.HandlerFunc(succeed), nil))
	m := b.metrics()
	assert.Contains(t, m, "leat.consumer.handled")
	assert.NotContains(t, m, "leat.consumer.lag")
	require.NoError(t, b.telemetry.Close())
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
}

// TestTextsAreBounded: ids, sources and types may have 4,096 bytes.
func TestTextsAreBounded(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	long := "x" + strings.Repeat("ä", 2_000)
	e, err := leat.NewEvent(long, &leat.EventOptions{ID: long, Source: "/" + strings.Repeat("y", 4_000)})
	require.NoError(t, err)
	require.NoError(t, b.producer.Publish(t.Context(), "orders", e))
	b.consume(func(context.Context, leat.Event) error { return leat.Reject(context.Canceled) })
	cut := 0
	check := func(text string) {
		assert.LessOrEqual(t, len(text), 256)
		assert.True(t, utf8.ValidString(text), text)
		if len(text) >= 255 { // of the long ones, one may end in the middle of a character
			cut++
		}
	}
	for _, name := range []string{"send orders", "process orders"} {
		spans := b.named(name)
		require.Len(t, spans, 1)
		for _, kv := range spans[0].Attributes() {
			check(kv.Value.String())
		}
	}
	assert.Equal(t, 8, cut, "id twice, source and type of both spans")
	m := b.metrics()
	for _, name := range []string{"messaging.process.duration", "leat.consumer.poisoned"} {
		cut = 0
		eachAttribute(m[name], check)
		assert.Equal(t, 1, cut, name)
	}
}

// eachAttribute calls f with the value of each attribute of a metric.
func eachAttribute(m metricdata.Metrics, f func(text string)) {
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			for _, kv := range p.Attributes.ToSlice() {
				f(kv.Value.String())
			}
		}
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			for _, kv := range p.Attributes.ToSlice() {
				f(kv.Value.String())
			}
		}
	}
}

// TestTheStatesOfTwoTelemetriesAddUp: a library and the program that uses it may watch consumers of
// one group each.
func TestTheStatesOfTwoTelemetriesAddUp(t *testing.T) {
	broker, reader := memory.New(nil), sdkmetric.NewManualReader()
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	for range 2 {
		telemetry, err := leatotel.New(broker, &leatotel.Options{MeterProvider: meters})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, telemetry.Close()) })
		telemetry.Watch(leat.NewConsumer(broker, orders, leat.HandlerFunc(succeed), nil))
	}
	b := &bench{t: t, reader: reader}
	assert.EqualValues(t, 2, total(b.metrics()["leat.consumer.state"]))
}

// total returns the sum of a metric over its series.
func total(m metricdata.Metrics) (n int64) {
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			n += p.Value
		}
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			n += p.Value
		}
	}
	return n
}

// TestUnwatch: what has ended and is replaced is shown no longer, but for its counts. Nil and the
// zero Consumer are no reason to panic.
func TestUnwatch(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	c := b.consume(succeed)
	assert.EqualValues(t, 1, total(b.metrics()["leat.consumer.state"]))
	b.telemetry.Unwatch(c, nil)
	b.telemetry.UnwatchProducers(b.producer, nil)
	m := b.metrics()
	assert.NotContains(t, m, "leat.consumer.state")
	assert.NotContains(t, m, "leat.consumer.lag")
	assert.NotContains(t, m, "leat.publish.unanswered")
	assert.Contains(t, m, "leat.consumer.handled")
	assert.Contains(t, m, "leat.publish.outcomes")
	b.telemetry.Watch(nil, new(leat.Consumer))
	b.telemetry.WatchProducers(nil, new(leat.Producer))
	assert.Contains(t, b.metrics(), "leat.consumer.state")
	require.NoError(t, b.telemetry.Close())
	require.NoError(t, b.telemetry.Close(), "twice")
	assert.NotContains(t, b.metrics(), "leat.consumer.state")
}
