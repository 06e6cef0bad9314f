package interop_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/poison"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// next returns the next value of a channel, which has to come within a minute.
func next[V any](t *testing.T, values <-chan V) V {
	t.Helper()
	select {
	case v := <-values:
		return v
	case <-time.After(time.Minute):
		require.FailNow(t, "nothing came in a minute")
		panic("not reached")
	}
}

// TestATraceOnEveryAdapter: publish, retry, poison and replay hang together the same way on every
// broker, and the lag of the group and of its poison queue comes through the metrics.
func TestATraceOnEveryAdapter(t *testing.T) {
	for _, a := range adapters() {
		t.Run(a.name, func(t *testing.T) { checkTrace(t, a) })
	}
}

func checkTrace(t *testing.T, a adapter) {
	b := newBench(t, a.open(t), a.unordered)
	state, err := trace.ParseTraceState("vendor=1")
	require.NoError(t, err)
	request := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	})
	for _, id := range []string{"retried", "poisoned"} {
		require.NoError(t, b.producer.Publish(trace.ContextWithSpanContext(t.Context(), request), b.sub.Topic, newEvent(t, id)))
	}
	sent := b.named("send " + b.sub.Topic)
	require.Len(t, sent, 2)
	retried, poisoned := sent[0].SpanContext(), sent[1].SpanContext()
	for _, s := range sent {
		assert.Equal(t, request.SpanID(), s.Parent().SpanID())
		assert.Equal(t, trace.SpanKindProducer, s.SpanKind())
	}

	tried := make(chan string, 10)
	c := b.consumer(func(ctx context.Context, e leat.Event) error {
		info, _ := leat.InfoFrom(ctx)
		switch {
		case e.ID() == "poisoned":
			return leat.Reject(errors.New("secret"))
		case info.Attempt == 1:
			return errors.New("secret")
		}
		tried <- e.ID()
		return nil
	})
	before := b.gaugesWhen(a, c, "leat.consumer.lag", 2)
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, c) }()
	next(t, tried)
	require.Eventually(t, func() bool { return c.Stats().Poisoned == 1 && c.Stats().InFlight == 0 }, time.Minute, 10*time.Millisecond)
	after := b.gaugesWhen(a, c, "leat.poison.lag", 1)
	stop()
	require.NoError(t, <-result)

	b.checkAttempts(a, retried, poisoned)
	b.checkLag(a, before, after)
	b.checkReplay(a, c, poisoned)
}

// gaugesWhen returns the gauges when one has a value: some brokers count late.
func (b *bench) gaugesWhen(a adapter, c *leat.Consumer, name string, want float64) map[string]float64 {
	b.t.Helper()
	var got map[string]float64
	for end := time.Now().Add(brokertest.Patience); ; {
		got = b.gauges(c)
		if !a.lag || got[name] == want || time.Now().After(end) {
			return got
		}
	}
}

// checkAttempts: each attempt is a child of the publish of its event, and links to it.
func (b *bench) checkAttempts(a adapter, retried, poisoned trace.SpanContext) {
	t := b.t
	t.Helper()
	of := map[string][]sdktrace.ReadOnlySpan{}
	for _, s := range b.named("process " + b.sub.Topic) {
		assert.Equal(t, a.system, value(s.Attributes(), "messaging.system"))
		assert.Equal(t, b.sub.Topic, value(s.Attributes(), "messaging.destination.name"))
		assert.Equal(t, b.sub.Group, value(s.Attributes(), "messaging.consumer.group.name"))
		id := value(s.Attributes(), "cloudevents.event_id")
		of[id] = append(of[id], s)
	}
	attempts := of["retried"]
	require.Len(t, attempts, 2)
	require.Len(t, of["poisoned"], 1)
	for i, s := range attempts {
		assert.Equal(t, strconv.Itoa(i+1), value(s.Attributes(), "leat.attempt"))
		b.checkChild(s, retried)
	}
	assert.Equal(t, codes.Error, attempts[0].Status().Code)
	assert.Equal(t, codes.Unset, attempts[1].Status().Code)
	b.checkChild(of["poisoned"][0], poisoned)
	assert.Equal(t, codes.Error, of["poisoned"][0].Status().Code)

	toQueue := b.named("send " + b.sub.Topic + ".billing.poison")
	require.Len(t, toQueue, 1)
	require.Len(t, toQueue[0].Links(), 1, "the publish to the poison queue links to the first one")
	assert.Equal(t, poisoned.SpanID(), toQueue[0].Links()[0].SpanContext.SpanID())
}

func (b *bench) checkChild(s sdktrace.ReadOnlySpan, of trace.SpanContext) {
	b.t.Helper()
	assert.Equal(b.t, trace.SpanKindConsumer, s.SpanKind())
	assert.Equal(b.t, of.TraceID(), s.SpanContext().TraceID())
	assert.Equal(b.t, of.SpanID(), s.Parent().SpanID())
	assert.True(b.t, s.Parent().IsRemote())
	assert.Equal(b.t, "vendor=1", s.SpanContext().TraceState().String())
	require.Len(b.t, s.Links(), 1)
	assert.Equal(b.t, of.SpanID(), s.Links()[0].SpanContext.SpanID())
}

// checkLag: before the consumer ran both events were to be handled, and then one is in the poison
// queue.
func (b *bench) checkLag(a adapter, before, after map[string]float64) {
	t := b.t
	t.Helper()
	lag, told := before["leat.consumer.lag"]
	assert.Equal(t, a.lag, told)
	if !a.lag {
		return
	}
	assert.InDelta(t, 2, lag, 0)
	age, told := before["leat.consumer.lag.age"]
	assert.Equal(t, a.age, told)
	assert.GreaterOrEqual(t, age, 0.0)
	assert.Less(t, age, 60.0)
	assert.InDelta(t, 1, after["leat.poison.lag"], 0)
}

// checkReplay: the span of a replay is the beginning of a trace, and links back.
func (b *bench) checkReplay(a adapter, c *leat.Consumer, poisoned trace.SpanContext) {
	t := b.t
	t.Helper()
	h := leat.Chain(leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), b.telemetry.Process())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := len(b.named("process " + b.sub.Topic))
	r, err := poison.Replay(ctx, b.broker, b.sub, h, &poison.ReplayOptions{UntilEmpty: true, Idle: 2 * time.Second})
	require.NoError(t, err)
	require.Equal(t, 1, r.Replayed)
	spans := b.named("process " + b.sub.Topic)
	require.Len(t, spans, before+1)
	s := spans[before]
	assert.False(t, s.Parent().IsValid(), "a replay is no child of the publish")
	assert.NotEqual(t, poisoned.TraceID(), s.SpanContext().TraceID())
	require.NotEmpty(t, s.Links())
	assert.Equal(t, poisoned.SpanID(), s.Links()[0].SpanContext.SpanID())
	assert.Equal(t, poisoned.TraceID(), s.Links()[0].SpanContext.TraceID())
	assert.Equal(t, "1", value(s.Attributes(), "leat.replays"))
	if a.lag {
		assert.InDelta(t, 0, b.gauges(c)["leat.poison.lag"], 0)
	}
}

func newEvent(t *testing.T, id string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: id, Source: "/test", Time: time.Now()})
	require.NoError(t, err)
	return e
}
