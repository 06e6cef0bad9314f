package leatotel

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Batch returns fn, for [leat.Batch], with a span of each call, which the context of fn has. The
// span links to the contexts in which the events were published, as far as the events carry them,
// and has their number. It is named after the topic of sub, and has its topic and group; a zero sub
// leaves them out.
//
//	handler := leat.Batch(nil, telemetry.Batch(sub, store))
//
// Each event has its own span of [Telemetry.Process] besides, which includes its wait for the
// batch. A nil fn stays nil, which leat.Run refuses.
func (t *Telemetry) Batch(
	sub leat.Subscription, fn func(ctx context.Context, events []leat.Event) error,
) func(ctx context.Context, events []leat.Event) error {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, events []leat.Event) error {
		return t.batch(ctx, sub, events, func(ctx context.Context) error { return fn(ctx, events) })
	}
}

// BatchOf is [Telemetry.Batch] for the Batch of a [leat.EventType].
//
//	route := placed.Batch(nil, leatotel.BatchOf(telemetry, sub, store))
func BatchOf[T any](
	t *Telemetry, sub leat.Subscription, fn func(ctx context.Context, events []leat.Event, vs []T) error,
) func(ctx context.Context, events []leat.Event, vs []T) error {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, events []leat.Event, vs []T) error {
		return t.batch(ctx, sub, events, func(ctx context.Context) error { return fn(ctx, events, vs) })
	}
}

// batch calls fn in a span.
func (t *Telemetry) batch(
	ctx context.Context, sub leat.Subscription, events []leat.Event, fn func(ctx context.Context) error,
) (err error) {
	inner, span := t.beginBatch(ctx, sub, events)
	returned := false
	defer func() {
		outcome := telemetry.Panicked // or the end of the goroutine
		if returned {
			outcome = telemetry.OutcomeOf(firstFailure(err))
		}
		t.endBatch(span, outcome)
	}()
	err = fn(inner)
	returned = true
	return err
}

// beginBatch starts the span. Without one it returns ctx.
func (t *Telemetry) beginBatch(ctx context.Context, sub leat.Subscription, events []leat.Event) (inner context.Context, span trace.Span) {
	defer t.caught()
	if inner = ctx; t.tracer == nil { // a panic returns it
		return inner, nil
	}
	start := t.batches.of("process", sub.Topic, sub.Group, "")
	started, span := t.tracer.Start(ctx, start.name, start.options...)
	if started == nil || span == nil {
		return inner, nil
	}
	inner = started
	if !span.IsRecording() {
		return inner, span
	}
	span.SetAttributes(start.late...)
	span.SetAttributes(attribute.Int("messaging.batch.message_count", len(events)))
	for i := range events {
		if created := createdIn(&events[i]); created.IsValid() {
			span.AddLink(trace.Link{SpanContext: created})
		}
	}
	return inner, span
}

func (t *Telemetry) endBatch(span trace.Span, outcome string) {
	defer t.caught()
	if span == nil {
		return
	}
	defer span.End()
	note(span, outcome)
}

// firstFailure returns the first error of several outcomes that is a failure, or else err.
func firstFailure(err error) error {
	all, ok := errors.AsType[leat.BatchErrors](err)
	if !ok {
		return err
	}
	for _, one := range all {
		if !telemetry.IsNoFailure(telemetry.OutcomeOf(one)) {
			return one
		}
	}
	return nil
}
