package leatotel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/leatgo/leat"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// batchSpan returns the only span of a batch, without those of its events.
func (b *bench) batchSpan(name string) sdktrace.ReadOnlySpan {
	b.t.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, s := range b.named(name) {
		if value(s, "messaging.batch.message_count") != "" {
			found = append(found, s)
		}
	}
	require.Len(b.t, found, 1)
	return found[0]
}

// TestTheSpanOfABatch has a link to the publish of each event, and its function runs in it.
func TestTheSpanOfABatch(t *testing.T) {
	placed := leat.EventType[string]{Name: "order.placed", Topic: "orders"}
	for name, handler := range map[string]func(b *bench, inside *trace.SpanContext) leat.Handler{
		"plain": func(b *bench, inside *trace.SpanContext) leat.Handler {
			return leat.Batch(&leat.BatchOptions{MaxEvents: 3, MaxWait: time.Minute},
				b.telemetry.Batch(orders, func(ctx context.Context, events []leat.Event) error {
					*inside = trace.SpanContextFromContext(ctx)
					assert.Len(t, events, 3)
					return nil
				}))
		},
		"typed": func(b *bench, inside *trace.SpanContext) leat.Handler {
			return leat.NewRouter(placed.Batch(&leat.BatchOptions{MaxEvents: 3, MaxWait: time.Minute},
				leatotel.BatchOf(b.telemetry, orders, func(ctx context.Context, events []leat.Event, vs []string) error {
					*inside = trace.SpanContextFromContext(ctx)
					assert.Len(t, events, 3)
					assert.Len(t, vs, 3)
					return nil
				})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, leatotel.Options{})
			for range 3 {
				require.NoError(t, placed.Publish(t.Context(), b.producer, "data"))
			}
			var inside trace.SpanContext
			consumer := leat.NewConsumer(b.broker, orders, handler(b, &inside),
				&leat.ConsumerOptions{Middleware: []leat.Middleware{b.telemetry.Process()}})
			require.NoError(t, leat.RunUntilIdle(t.Context(), 50*time.Millisecond, consumer))
			s := b.batchSpan("process orders")
			assert.Equal(t, "3", value(s, "messaging.batch.message_count"))
			assert.Equal(t, "billing", value(s, "messaging.consumer.group.name"))
			assert.Equal(t, trace.SpanKindConsumer, s.SpanKind())
			assert.False(t, s.Parent().IsValid())
			assert.Equal(t, s.SpanContext().SpanID(), inside.SpanID())
			assert.Equal(t, codes.Unset, s.Status().Code)
			links := map[trace.SpanID]bool{}
			for _, link := range s.Links() {
				links[link.SpanContext.SpanID()] = true
			}
			for _, sent := range b.named("send orders") {
				assert.True(t, links[sent.SpanContext().SpanID()])
			}
			assert.Len(t, links, 3)
			assert.Len(t, b.named("process orders"), 4, "and one for each event")
		})
	}
}

// TestTheOutcomeOfABatch is that of the first event that failed. What the events wait for is none.
func TestTheOutcomeOfABatch(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"success": {nil, ""}, "one error": {fmt.Errorf("secret: %w", os.ErrDeadlineExceeded), "*poll.DeadlineExceededError"},
		"of several": {leat.BatchErrors{nil, leat.Postpone(time.Second, nil), os.ErrDeadlineExceeded}, "*poll.DeadlineExceededError"},
		"postponed":  {leat.BatchErrors{nil, leat.Postpone(time.Second, nil)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, leatotel.Options{})
			fn := b.telemetry.Batch(leat.Subscription{}, func(context.Context, []leat.Event) error { return c.err })
			assert.Equal(t, c.err, fn(t.Context(), []leat.Event{newEvent(t, "1")}))
			s := b.batchSpan("process")
			assert.Equal(t, c.want, value(s, "error.type"))
			assert.Equal(t, c.want != "", s.Status().Code == codes.Error)
			assert.Empty(t, s.Status().Description)
			assert.Empty(t, value(s, "messaging.destination.name"))
		})
	}
}

// TestAPanicOfABatch is an error of its span, and goes on.
func TestAPanicOfABatch(t *testing.T) {
	b := newBench(t, leatotel.Options{LateAttributes: true})
	fn := b.telemetry.Batch(orders, func(context.Context, []leat.Event) error { panic("boom") })
	assert.PanicsWithValue(t, "boom", func() { _ = fn(t.Context(), nil) })
	s := b.batchSpan("process orders")
	assert.Equal(t, "panic", value(s, "error.type"))
	assert.Equal(t, codes.Error, s.Status().Code)
	assert.Equal(t, "leat_memory", value(s, "messaging.system"))
}

// TestABatchWithoutSpans runs.
func TestABatchWithoutSpans(t *testing.T) {
	for _, o := range []leatotel.Options{{NoSpans: true}, {TracerProvider: panickingTracers{}}} {
		b := newBench(t, leatotel.Options{})
		telemetry, err := leatotel.New(b.broker, &o)
		require.NoError(t, err)
		failed := errors.New("failed")
		fn := telemetry.Batch(orders, func(context.Context, []leat.Event) error { return failed })
		assert.Equal(t, failed, fn(t.Context(), nil))
		require.NoError(t, telemetry.Close())
	}
	b := newBench(t, leatotel.Options{})
	assert.Nil(t, b.telemetry.Batch(orders, nil))
	assert.Nil(t, leatotel.BatchOf[string](b.telemetry, orders, nil))
}
