package leatotel_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/leatgo/leat/poison"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirSpan  = "00f067aa0ba902b7"
	theirs     = "00-" + theirTrace + "-" + theirSpan + "-01"
)

func succeed(context.Context, leat.Event) error { return nil }

// TestEachAttemptIsASpan: the attempts of an event hang side by side under its publish, and what
// failed says so without the text of the error.
func TestEachAttemptIsASpan(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
	b.consume(func(ctx context.Context, _ leat.Event) error {
		if info, _ := leat.InfoFrom(ctx); info.Attempt == 1 {
			return errors.New("secret")
		}
		return nil
	})
	attempts := b.named("process orders")
	require.Len(t, attempts, 2)
	for i, attempt := range attempts {
		assert.Equal(t, b.named("send orders")[0].SpanContext().SpanID(), attempt.Parent().SpanID())
		assert.Equal(t, string(rune('1'+i)), value(attempt, "leat.attempt"))
	}
	assert.Equal(t, codes.Error, attempts[0].Status().Code)
	assert.Equal(t, "error", value(attempts[0], "error.type"))
	assert.Empty(t, attempts[0].Status().Description)
	assert.Equal(t, codes.Unset, attempts[1].Status().Code)
	assert.Equal(t, "leat_memory", value(attempts[1], "messaging.system"))
	assert.Equal(t, "billing", value(attempts[1], "messaging.consumer.group.name"))
}

// TestAPoisonedEventKeepsItsTrace: the span of a replay belongs to no old trace, and links to it.
func TestAPoisonedEventKeepsItsTrace(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
	b.consume(func(context.Context, leat.Event) error { return leat.Reject(errors.New("secret")) })
	created := b.named("send orders")[0].SpanContext()
	toQueue := b.named("send orders.billing.poison")
	require.Len(t, toQueue, 1)
	require.Len(t, toQueue[0].Links(), 1, "the span that poisons links to the publish")
	assert.Equal(t, created.SpanID(), toQueue[0].Links()[0].SpanContext.SpanID())

	h := leat.Chain(leat.HandlerFunc(succeed), b.telemetry.Process())
	r, err := poison.Replay(t.Context(), b.broker, orders, h, &poison.ReplayOptions{Idle: 50 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, 1, r.Replayed)
	attempts := b.named("process orders")
	require.Len(t, attempts, 2)
	assert.Equal(t, created.SpanID(), attempts[0].Parent().SpanID())
	replayed := attempts[1]
	assert.False(t, replayed.Parent().IsValid(), "it is no child")
	require.Len(t, replayed.Links(), 1)
	assert.Equal(t, created.SpanID(), replayed.Links()[0].SpanContext.SpanID())
	assert.Equal(t, "1", value(replayed, "leat.replays"))
}

func TestAnEventKeepsItsOwnTraceContext(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	mine := newEvent(t, "1").WithExtension("traceparent", theirs).WithExtension("tracestate", "a=1")
	require.NoError(t, b.producer.Publish(t.Context(), "orders", mine))
	b.consume(func(_ context.Context, e leat.Event) error {
		parent, _ := e.Extension("traceparent")
		state, _ := e.Extension("tracestate")
		assert.Equal(t, []any{theirs, "a=1"}, []any{parent, state})
		return nil
	})
	send, process := b.named("send orders")[0], b.named("process orders")[0]
	require.Len(t, send.Links(), 1)
	assert.Equal(t, theirTrace, send.Links()[0].SpanContext.TraceID().String())
	assert.Equal(t, theirSpan, process.Parent().SpanID().String())
	require.Len(t, process.Links(), 2, "the creation, and the hop, which the transport's header tells")
	assert.Equal(t, "a=1", process.Links()[0].SpanContext.TraceState().String())
	assert.Equal(t, send.SpanContext().SpanID(), process.Links()[1].SpanContext.SpanID())
}

// TestWhoIsNoChild lists the events whose handlers are not in the trace of the publish.
func TestWhoIsNoChild(t *testing.T) {
	old := func(t *testing.T) leat.Event {
		e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Time: time.Now().Add(-2 * time.Hour)})
		require.NoError(t, err)
		return e
	}
	for name, c := range map[string]struct {
		o     leatotel.Options
		event func(t *testing.T) leat.Event
		links int
	}{
		"an old event":  {leatotel.Options{}, old, 1},
		"with LinkOnly": {leatotel.Options{LinkOnly: true}, func(t *testing.T) leat.Event { return newEvent(t, "1") }, 1},
		"one whose context is garbage": {leatotel.Options{}, func(t *testing.T) leat.Event {
			return newEvent(t, "1").WithExtension("traceparent", strings.ToUpper(theirs))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.o)
			e := c.event(t)
			if c.links == 0 { // published by a program without telemetry
				require.NoError(t, leat.NewProducer(b.broker, &leat.ProducerOptions{Source: "/test"}).Publish(t.Context(), "orders", e))
			} else {
				require.NoError(t, b.producer.Publish(t.Context(), "orders", e))
			}
			b.consume(succeed)
			s := b.named("process orders")[0]
			assert.False(t, s.Parent().IsValid())
			assert.Len(t, s.Links(), c.links)
		})
	}
}

// TestAForeignProducerThatKnowsOnlyTheHeader, such as one with kotel or a Java agent.
func TestAForeignProducerThatKnowsOnlyTheHeader(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	plain := leat.NewProducer(b.broker, &leat.ProducerOptions{Source: "/test"})
	ctx := leat.ContextWithTrace(t.Context(), leat.TraceContext{Parent: theirs})
	require.NoError(t, plain.Publish(ctx, "orders", newEvent(t, "1")))
	b.consume(succeed)
	s := b.named("process orders")[0]
	assert.Equal(t, theirSpan, s.Parent().SpanID().String())
	require.Len(t, s.Links(), 1)
	assert.Equal(t, theirTrace, s.Links()[0].SpanContext.TraceID().String())
}

func TestABatchOfEventsIsOneSpan(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1"), newEvent(t, "2")))
	send := b.named("send orders")
	require.Len(t, send, 1)
	assert.Equal(t, "2", value(send[0], "messaging.batch.message_count"))
	b.consume(succeed)
	for _, s := range b.named("process orders") {
		assert.Equal(t, send[0].SpanContext().SpanID(), s.Parent().SpanID())
	}
	require.Error(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "3"), leat.Event{}), "of which one is refused")
	assert.Len(t, b.named("send orders"), 2)
}

func TestAPanicIsAnError(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
	b.consume(func(context.Context, leat.Event) error { panic("secret") })
	attempts := b.named("process orders")
	require.Len(t, attempts, 2)
	for _, s := range attempts {
		assert.Equal(t, codes.Error, s.Status().Code)
		assert.NotEmpty(t, value(s, "error.type"))
	}
}

// TestAPauseIsNoError of the event, whatever is down.
func TestAPauseIsNoError(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	down := &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errors.New("down")}
	h := b.telemetry.Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { return leat.Pause(time.Second, down) }))
	ctx := leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 1})
	require.Error(t, h.Handle(ctx, newEvent(t, "1")))
	attempts := b.named("process orders")
	require.Len(t, attempts, 1)
	assert.Equal(t, codes.Unset, attempts[0].Status().Code)
	assert.Equal(t, "paused", value(attempts[0], "error.type"))
}

// kafka is a broker by this name.
type kafka struct{ *memory.Broker }

func (kafka) System() string { return "kafka" }

// TestAPartitionIsAText in OpenTelemetry's conventions, and an offset a number.
func TestAPartitionIsAText(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	telemetry, err := leatotel.New(kafka{b.broker}, &leatotel.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans)), MeterProvider: metricnoop.NewMeterProvider(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, telemetry.Close()) })
	ctx := leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Position: leat.Position{Partition: 7, Offset: 8}})
	require.NoError(t, telemetry.Process()(leat.HandlerFunc(succeed)).Handle(ctx, newEvent(t, "1")))
	attempts := b.named("process orders")
	require.Len(t, attempts, 1)
	assert.Contains(t, attempts[0].Attributes(), attribute.String("messaging.destination.partition.id", "7"))
	assert.Contains(t, attempts[0].Attributes(), attribute.Int64("messaging.kafka.offset", 8))
}

// TestNamesOfSpansAreBounded: the topic of a replay is what somebody wrote to the poison queue.
func TestNamesOfSpansAreBounded(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	h := b.telemetry.Process()(leat.HandlerFunc(succeed))
	e := newEvent(t, "1")
	for i := range 2_000 {
		info := leat.Info{Topic: fmt.Sprint(strings.Repeat("t", 300*(i%2)), i), Group: fmt.Sprint("g", i)}
		require.NoError(t, h.Handle(leat.ContextWithInfo(t.Context(), info), e))
	}
	names, groups := map[string]bool{}, map[string]bool{}
	spans := b.spans.Ended()
	require.Len(t, spans, 2_000)
	for _, s := range spans {
		names[s.Name()], groups[value(s, "messaging.consumer.group.name")] = true, true
		assert.LessOrEqual(t, len(s.Name()), 256+len("process "))
		assert.LessOrEqual(t, len(value(s, "messaging.destination.name")), 256)
	}
	assert.LessOrEqual(t, len(names), 1_001)
	assert.Len(t, groups, 1_001)
	assert.True(t, names["process _OTHER"])
}

// TestOptionsOfSpansKeepNoEvent: the type of an event may be a piece of all of its attributes.
func TestOptionsOfSpansKeepNoEvent(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	e := newEvent(t, "1")
	require.NoError(t, b.telemetry.Process()(leat.HandlerFunc(succeed)).Handle(t.Context(), e))
	attempts := b.spans.Ended()
	require.Len(t, attempts, 1)
	eventType := value(attempts[0], "cloudevents.event_type")
	require.Equal(t, e.Type(), eventType)
	assert.NotEqual(t, reflect.ValueOf(e.Type()).Pointer(), reflect.ValueOf(eventType).Pointer(), "its bytes")
}
