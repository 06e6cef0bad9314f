package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
)

// Other is the value of an attribute whose values would be too many.
const Other = "_OTHER"

// Core watches what consumers and producers of one broker do.
type Core struct {
	table   [instruments]Instrument
	system  string
	options Options
	series  seriesMaker
	sent    sentCounts
	lags    lags

	mu        sync.Mutex
	consumers []*leat.Consumer
	producers []*leat.Producer
	left      sums // the counts of those that were taken out
}

// Options are the options that both modules have.
type Options struct {
	// NoType leaves the type of events out of every metric.
	NoType bool
	// NoLag asks the broker for no lag.
	NoLag bool
	// Logger gets what cannot be collected; not nil.
	Logger *slog.Logger
}

// Series takes the values of one series of a histogram.
type Series func(ctx context.Context, seconds float64)

// seriesMaker makes the series of a histogram with these labels.
type seriesMaker func(instrument int, l Labels) Series

// Labels are the values of the attributes of an [Instrument], in its order. The rest is empty.
type Labels [6]string

// New returns a Core of what uses broker. series makes the series of a histogram with these labels.
func New(broker leat.Broker, o Options, series func(instrument int, l Labels) Series) *Core {
	c := &Core{table: Table(), system: Other, options: o, series: series, left: sums{}}
	if n, ok := broker.(leat.SystemNamer); ok && !nils.Is(broker) {
		c.system = n.System()
	}
	c.sent.init(c)
	c.lags.init(o.Logger)
	return c
}

// Table returns the instruments of c.
func (c *Core) Table() []Instrument { return c.table[:] }

// System is the value of the attribute System.
func (c *Core) System() string { return c.system }

// Watch adds consumers and producers to what Collect collects. Those that are nil or known are left
// out.
func (c *Core) Watch(consumers []*leat.Consumer, producers []*leat.Producer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range consumers {
		if one != nil && !slices.Contains(c.consumers, one) {
			c.consumers = append(c.consumers, one)
		}
	}
	for _, one := range producers {
		if one != nil && !slices.Contains(c.producers, one) {
			c.producers = append(c.producers, one)
		}
	}
}

// Unwatch takes consumers and producers out again. What they have counted stays in the sums, which
// must not fall.
func (c *Core) Unwatch(consumers []*leat.Consumer, producers []*leat.Producer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consumers = slices.DeleteFunc(c.consumers, func(one *leat.Consumer) bool {
		leaves := slices.Contains(consumers, one)
		if leaves {
			c.addCounts(c.left, one)
		}
		return leaves
	})
	c.producers = slices.DeleteFunc(c.producers, func(one *leat.Producer) bool {
		leaves := slices.Contains(producers, one)
		if leaves {
			c.addOutcomes(c.left, one)
		}
		return leaves
	})
}

// watched returns what is watched, and the counts of what no longer is.
func (c *Core) watched() ([]*leat.Consumer, []*leat.Producer, sums) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.consumers), slices.Clone(c.producers), maps.Clone(c.left)
}

// Close ends the questions for lag.
func (c *Core) Close() { c.lags.close() }
