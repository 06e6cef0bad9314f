package leatotel_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var update = flag.Bool("update", false, "write the golden file anew")

// TestInstruments holds every instrument that a program may see: name, kind, unit, attributes and
// buckets, whoever keeps the histograms.
func TestInstruments(t *testing.T) {
	for name, o := range map[string]leatotel.Options{"the SDK's": {}, "own": {Histograms: new(leatotel.Histograms)}} {
		t.Run(name, func(t *testing.T) { testInstruments(t, o) })
	}
}

func testInstruments(t *testing.T, o leatotel.Options) {
	b := newBench(t, o)
	require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1"), newEvent(t, "2"), newEvent(t, "3")))
	require.NoError(t, b.producer.Publish(t.Context(), "other", newEvent(t, "4")))
	b.consume(func(_ context.Context, e leat.Event) error {
		switch e.ID() {
		case "1":
			return nil
		case "2":
			return leat.Reject(errors.New("no"))
		}
		return errors.New("again")
	})
	var lines []string
	for name, m := range b.metrics() {
		kind, keys, buckets := shape(m.Data)
		lines = append(lines, fmt.Sprintf("%s %s %q %v%s", name, kind, m.Unit, keys, buckets))
	}
	slices.Sort(lines)
	text := strings.Join(lines, "\n") + "\n"
	const golden = "testdata/instruments.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "go test -update writes it anew")
}

// shape returns the kind of an instrument, the attributes of its points, and its buckets.
func shape(data metricdata.Aggregation) (kind string, keys []string, buckets string) {
	seen := map[string]bool{}
	add := func(s attribute.Set) {
		for _, kv := range s.ToSlice() {
			seen[string(kv.Key)] = true
		}
	}
	switch d := data.(type) {
	case metricdata.Sum[int64]:
		kind = "updowncounter"
		if d.IsMonotonic {
			kind = "counter"
		}
		for _, p := range d.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Gauge[int64]:
		kind = "gauge"
		for _, p := range d.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Gauge[float64]:
		kind = "gauge"
		for _, p := range d.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range d.DataPoints {
			add(p.Attributes)
			buckets = fmt.Sprintf(" %v", p.Bounds)
		}
	default:
		kind = fmt.Sprintf("%T", data)
	}
	for key := range seen {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return kind, keys, buckets
}

// points returns how many series a metric has.
func points(m metricdata.Metrics) int {
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		return len(d.DataPoints)
	case metricdata.Sum[int64]:
		return len(d.DataPoints)
	}
	return 0
}

// TestTheNumberOfSeriesIsBounded whatever types, errors and topics come.
func TestTheNumberOfSeriesIsBounded(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 20_000
	}
	b := newBench(t, leatotel.Options{})
	h := b.telemetry.Process()(leat.HandlerFunc(succeed))
	ctx := leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 1})
	publish := b.telemetry.Publish()(func(_ context.Context, _ string, events []leat.Event, done func(i int, err error)) {
		for i := range events {
			done(i, nil)
		}
	})
	for i := range n {
		e, err := leat.NewEvent(fmt.Sprint("type ", i), &leat.EventOptions{ID: "1", Source: "/test"})
		require.NoError(t, err)
		require.NoError(t, h.Handle(ctx, e))
		if i%50 == 0 {
			publish(t.Context(), fmt.Sprint("topic-", i), []leat.Event{e}, func(int, error) {})
		}
	}
	m := b.metrics()
	assert.LessOrEqual(t, points(m["messaging.process.duration"]), 101)
	assert.LessOrEqual(t, points(m["leat.event.age"]), 101)
	assert.LessOrEqual(t, points(m["messaging.client.sent.messages"]), 1_001)
	assert.LessOrEqual(t, points(m["messaging.client.operation.duration"]), 1_001)
}

// TestNothingOfAnEventLeaksOut looks for pieces of data, subject, key, error and extensions.
func TestNothingOfAnEventLeaksOut(t *testing.T) {
	const canary = "canary7"
	b := newBench(t, leatotel.Options{Histograms: new(leatotel.Histograms)})
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{
		ID: "1", Subject: canary, Key: canary, Data: []byte(`"` + canary + `"`), Extensions: map[string]any{"who": canary},
	})
	require.NoError(t, err)
	require.NoError(t, b.producer.Publish(t.Context(), "orders", e))
	b.consume(func(context.Context, leat.Event) error { return fmt.Errorf("no %s: %w", canary, errors.New(canary)) })
	attempts := b.named("process orders")
	require.Len(t, attempts, 2)
	assert.Equal(t, "1", value(attempts[0], "messaging.message.id"), "the id is no secret")
	for _, s := range b.spans.Ended() {
		assert.NotContains(t, fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status(), s.Links()), canary)
	}
	metrics := b.metrics()
	assert.Equal(t, 1, points(metrics["leat.consumer.poisoned"]))
	assert.Equal(t, 1, points(metrics["messaging.process.duration"]))
	for name, m := range metrics {
		assert.NotContains(t, fmt.Sprint(name, m.Data), canary)
	}
}

// TestNoEventAge leaves the histogram out, which is there without the option.
func TestNoEventAge(t *testing.T) {
	for _, off := range []bool{false, true} {
		b := newBench(t, leatotel.Options{NoEventAge: off})
		require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
		b.consume(succeed)
		m := b.metrics()
		assert.Equal(t, 1, points(m["messaging.process.duration"]))
		assert.Equal(t, off, points(m["leat.event.age"]) == 0)
	}
}
