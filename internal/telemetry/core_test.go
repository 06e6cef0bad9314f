package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/internal/telemetry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var orders = leat.Subscription{Topic: "orders", Group: "billing"}

// fakeBroker is a broker of a system, with answers of its own.
type fakeBroker struct {
	*memory.Broker

	system string
	lag    func() (leat.Lag, error)
	health func() error
}

func (b *fakeBroker) System() string                                        { return b.system }
func (b *fakeBroker) Lag(context.Context, string, string) (leat.Lag, error) { return b.lag() }
func (b *fakeBroker) Health() error                                         { return b.health() }

func newBroker(t *testing.T) *fakeBroker {
	t.Helper()
	b := &fakeBroker{
		Broker: memory.New(nil), system: "memory",
		lag:    func() (leat.Lag, error) { return leat.Lag{}, nil },
		health: func() error { return nil },
	}
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func nothing(context.Context, float64) {}

func newCore(t *testing.T, b leat.Broker, logger *slog.Logger) *telemetry.Core {
	t.Helper()
	c := telemetry.New(b, telemetry.Options{Logger: logger}, func(int, telemetry.Labels) telemetry.Series { return nothing })
	t.Cleanup(c.Close)
	return c
}

// sumOf returns the sum of an instrument, and how many points it has.
func sumOf(c *telemetry.Core, instrument int) (sum, points int) {
	for _, p := range c.Collect(context.Background()) {
		if p.Instrument == instrument {
			sum += int(p.Value)
			points++
		}
	}
	return sum, points
}

func succeed(context.Context, leat.Event) error { return nil }

// TestWhatAHandlerDecidedIsNoFailure, whatever error it has for it.
func TestWhatAHandlerDecidedIsNoFailure(t *testing.T) {
	down := &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errors.New("down")}
	for want, err := range map[string]error{
		"paused": leat.Pause(time.Second, down), "postponed": leat.Postpone(time.Second, down), "": nil,
	} {
		outcome := telemetry.OutcomeOf(err)
		assert.Equal(t, want, outcome)
		assert.True(t, telemetry.IsNoFailure(outcome), want)
	}
	assert.False(t, telemetry.IsNoFailure(telemetry.OutcomeOf(down)))
}

// TestGroupsOfReplaysAreBounded: topic and group of a replay are what somebody wrote to the poison
// queue.
func TestGroupsOfReplaysAreBounded(t *testing.T) {
	series := map[telemetry.Labels]bool{}
	c := telemetry.New(newBroker(t), telemetry.Options{}, func(_ int, l telemetry.Labels) telemetry.Series {
		series[l] = true
		for _, text := range l {
			assert.LessOrEqual(t, len(text), 256)
		}
		return nothing
	})
	t.Cleanup(c.Close)
	timer := c.NewTimer(false)
	e, err := leat.NewEvent("placed", &leat.EventOptions{ID: "1", Source: "/test"})
	require.NoError(t, err)
	topic := "orders"
	attempt := timer.Begin(e)
	timer.Took(t.Context(), &leat.Info{Topic: topic, Group: "billing"}, &attempt)
	for l := range series {
		for i, piece := range map[int]string{1: topic, 4: e.Type()} {
			assert.NotEqual(t, reflect.ValueOf(piece).Pointer(), reflect.ValueOf(l[i]).Pointer(), "the bytes of %s", piece)
		}
	}
	for i := range 1_000 {
		timer.Took(t.Context(), &leat.Info{Topic: strings.Repeat("t", i), Group: fmt.Sprint("g", i)}, &attempt)
	}
	assert.Len(t, series, 101)
	assert.True(t, series[telemetry.Labels{"memory", "_OTHER", "_OTHER", "process", "placed"}])
}

// TestSumsDoNotFall when what counted is taken out: a sum that falls looks like a restart.
func TestSumsDoNotFall(t *testing.T) {
	b := newBroker(t)
	c := newCore(t, b, slog.New(slog.DiscardHandler))
	require.NoError(t, leat.Declare(t.Context(), b, orders))
	p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/test"})
	e, err := leat.NewEvent("placed", nil)
	require.NoError(t, err)
	for n := range 3 {
		require.NoError(t, p.Publish(t.Context(), "orders", e))
		one := leat.NewConsumer(b, orders, leat.HandlerFunc(succeed), nil)
		c.Watch([]*leat.Consumer{one}, []*leat.Producer{p})
		require.NoError(t, leat.RunUntilIdle(t.Context(), 50*time.Millisecond, one))
		for range 2 {
			sum, points := sumOf(c, telemetry.Handled)
			assert.Equal(t, []int{n + 1, 1}, []int{sum, points})
			c.Unwatch([]*leat.Consumer{one}, nil)
		}
	}
	c.Unwatch(nil, []*leat.Producer{p})
	sum, _ := sumOf(c, telemetry.Outcomes)
	assert.Equal(t, 3, sum)
	_, points := sumOf(c, telemetry.States)
	assert.Zero(t, points)
}

// TestAPanicOfHealthLeavesTheStateOut and no more: a collection runs on a goroutine of its own.
func TestAPanicOfHealthLeavesTheStateOut(t *testing.T) {
	b := newBroker(t)
	c := newCore(t, b, slog.New(slog.DiscardHandler))
	one := leat.NewConsumer(b, orders, leat.HandlerFunc(succeed), nil)
	c.Watch([]*leat.Consumer{one, leat.NewConsumer(b.Broker, orders, leat.HandlerFunc(succeed), nil)}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, one) }()
	require.Eventually(t, func() bool { return one.Health().State == leat.Healthy }, 10*time.Second, time.Millisecond)
	b.health = func() error { panic("no health") }
	states, _ := sumOf(c, telemetry.States)
	assert.Equal(t, 1, states, "the other's")
	limit, _ := sumOf(c, telemetry.InFlightLimit)
	assert.Positive(t, limit)
	cancel()
	require.NoError(t, <-ended)
}

// TestNoAgeOfASystemThatTellsNone: Kafka's 0 of a group that is not behind would look like an age.
func TestNoAgeOfASystemThatTellsNone(t *testing.T) {
	for system, want := range map[string]int{"kafka": 0, "nats": 1} {
		b := newBroker(t)
		b.system = system
		c := newCore(t, b, slog.New(slog.DiscardHandler))
		c.Watch([]*leat.Consumer{leat.NewConsumer(b, orders, leat.HandlerFunc(succeed), nil)}, nil)
		_, points := sumOf(c, telemetry.Lag)
		assert.Equal(t, 1, points, system)
		_, points = sumOf(c, telemetry.LagAge)
		assert.Equal(t, want, points, system)
	}
}

// collecting is a handler of logs that collects, as one does that counts its lines.
type collecting struct {
	slog.Handler

	core *telemetry.Core
}

func (h *collecting) Handle(ctx context.Context, r slog.Record) error {
	done, cancel := context.WithCancel(ctx)
	cancel()
	h.core.Collect(done)
	return h.Handler.Handle(ctx, r)
}

// TestTheLogOfLagIsBounded whatever a broker does, and is written under no lock.
func TestTheLogOfLagIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, asked := newBroker(t), 0
		b.lag = func() (leat.Lag, error) {
			if asked++; asked%2 == 0 {
				return leat.Lag{}, nil
			}
			return leat.Lag{}, &leat.Error{Op: "lag", Code: leat.CodeUnavailable, Err: errors.New(strings.Repeat("ä\n", 10_000))}
		}
		var log bytes.Buffer
		h := &collecting{Handler: slog.NewTextHandler(&log, nil)}
		c := newCore(t, b, slog.New(h))
		h.core = c
		c.Watch([]*leat.Consumer{leat.NewConsumer(b, orders, leat.HandlerFunc(succeed), nil)}, nil)
		for range 60 {
			c.Collect(t.Context())
			time.Sleep(10 * time.Second)
		}
		c.Close()
		assert.GreaterOrEqual(t, asked, 60)
		lines := strings.Count(log.String(), "\n")
		assert.Positive(t, lines)
		assert.LessOrEqual(t, lines, 12, "one a minute, and one at the end")
		assert.Less(t, log.Len(), lines*1_000)
	})
}
