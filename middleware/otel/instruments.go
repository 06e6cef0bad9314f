package leatotel

import (
	"context"

	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel/metric"
)

// instruments are those of the table, each at its place.
type instruments struct {
	histograms map[int]metric.Float64Histogram
	ints       map[int]metric.Int64Observable
	floats     map[int]metric.Float64Observable
}

// makeInstruments makes the instruments of the table, and registers what reads them.
func (t *Telemetry) makeInstruments() error {
	t.instr = instruments{
		histograms: map[int]metric.Float64Histogram{},
		ints:       map[int]metric.Int64Observable{}, floats: map[int]metric.Float64Observable{},
	}
	var observed []metric.Observable
	for place, in := range t.core.Table() {
		if in.Kind == telemetry.Histogram && t.o.Histograms != nil {
			continue
		}
		made, err := t.makeInstrument(place, in)
		if err != nil {
			return err
		}
		if made != nil {
			observed = append(observed, made)
		}
	}
	var err error
	t.reading, err = t.meter.RegisterCallback(t.collect, observed...)
	return err
}

func (t *Telemetry) makeInstrument(place int, in telemetry.Instrument) (made metric.Observable, err error) {
	unit, about := metric.WithUnit(in.Unit), metric.WithDescription(in.Description)
	seconds := in.Unit == "s"
	switch {
	case in.Kind == telemetry.Histogram:
		// The conventions' buckets have to be given: the SDK's own are made for milliseconds.
		t.instr.histograms[place], err = t.meter.Float64Histogram(in.Name, unit, about,
			metric.WithExplicitBucketBoundaries(in.Buckets...))
		return nil, err
	case in.Kind == telemetry.Gauge && seconds:
		t.instr.floats[place], err = t.meter.Float64ObservableGauge(in.Name, unit, about)
		return t.instr.floats[place], err
	case in.Kind == telemetry.Gauge:
		t.instr.ints[place], err = t.meter.Int64ObservableGauge(in.Name, unit, about)
	case in.Kind == telemetry.UpDown:
		t.instr.ints[place], err = t.meter.Int64ObservableUpDownCounter(in.Name, unit, about)
	default:
		t.instr.ints[place], err = t.meter.Int64ObservableCounter(in.Name, unit, about)
	}
	return t.instr.ints[place], err
}

// collect tells what is there when the metrics are read.
func (t *Telemetry) collect(ctx context.Context, o metric.Observer) error {
	table := t.core.Table()
	for _, p := range t.core.Collect(ctx) {
		set := metric.WithAttributeSet(attributesOf(table[p.Instrument].Labels, p.Labels))
		if in, ok := t.instr.floats[p.Instrument]; ok {
			o.ObserveFloat64(in, p.Value, set)
		} else {
			o.ObserveInt64(t.instr.ints[p.Instrument], int64(p.Value), set)
		}
	}
	return nil
}

// series returns what records into one series of a histogram. The options are made once, so that a
// value costs no allocation.
func (t *Telemetry) series(instrument int, l telemetry.Labels) telemetry.Series {
	if t.o.Histograms != nil {
		return t.o.Histograms.kept.Series(instrument, l)
	}
	in := t.instr.histograms[instrument]
	options := []metric.RecordOption{metric.WithAttributeSet(attributesOf(t.core.Table()[instrument].Labels, l))}
	return func(ctx context.Context, seconds float64) {
		defer t.caught()
		in.Record(ctx, seconds, options...)
	}
}
