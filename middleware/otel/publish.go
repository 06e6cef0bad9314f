package leatotel

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Publish returns middleware that times publishes and makes a span of each call. Events that have
// no trace context get that of the span, in the extensions traceparent and tracestate; one that has
// it keeps it, and the span links to it. Adapters write the span's context beside the events as
// well, as the transport's own headers.
func (t *Telemetry) Publish() leat.PublishMiddleware {
	return func(next leat.PublishFunc) leat.PublishFunc {
		return func(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
			c := t.beginPublish(ctx, topic, events, done)
			next(c.ctx, topic, c.events, c.done)
		}
	}
}

// publishing is a call of a publish on its way.
type publishing struct {
	t      *Telemetry
	ctx    context.Context //nolint:containedctx // of the call, whose answers come later
	topic  string
	events []leat.Event
	began  time.Time
	span   trace.Span
	left   atomic.Int64
	report func(i int, err error)
	single [1]leat.Event // room for the event of a call that has one
}

func (t *Telemetry) beginPublish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
) *publishing {
	c := &publishing{t: t, ctx: ctx, topic: topic, events: events, report: done, began: time.Now()}
	c.left.Store(int64(len(events)))
	t.safely(c.begin)
	return c
}

// begin starts the span and gives its context to the events.
func (c *publishing) begin() {
	if c.t.tracer == nil {
		return
	}
	start := c.t.sending.of("send", c.topic, "", "")
	ctx, span := c.t.tracer.Start(c.ctx, start.name, start.options...)
	if ctx == nil || span == nil {
		return
	}
	c.span = span
	recording := span.IsRecording()
	if recording && len(c.events) > 1 {
		span.SetAttributes(start.late...)
		span.SetAttributes(attribute.Int("messaging.batch.message_count", len(c.events)))
	}
	if recording && len(c.events) == 1 {
		span.SetAttributes(c.aboutEvent(start.late, &c.events[0])...)
	}
	if ctx = carrying(ctx); ctx == nil {
		return
	}
	own := leat.TraceFrom(ctx)
	events := c.single[:] // the slice of the call is the Producer's
	if len(c.events) != len(events) {
		events = make([]leat.Event, len(c.events))
	}
	for i, e := range c.events {
		if events[i] = e; !hasTrace(&e) {
			events[i] = withTrace(e, own)
		} else if created := createdIn(&e); recording && created.IsValid() {
			span.AddLink(trace.Link{SpanContext: created})
		}
	}
	c.ctx, c.events = ctx, events
}

// aboutEvent is what the span of a single event tells beyond what samplers see.
func (c *publishing) aboutEvent(late []attribute.KeyValue, e *leat.Event) []attribute.KeyValue {
	about := aboutEvent(late, e)
	if !c.t.o.NoType {
		about = append(about, attribute.String(telemetry.Type, telemetry.Bounded(e.Type())))
	}
	return about
}

func hasTrace(e *leat.Event) bool {
	_, ok := e.Extension(traceParent)
	return ok
}

// withTrace returns an event with the extensions. A tracestate without a traceparent belongs to
// nothing, and goes.
func withTrace(e leat.Event, c *leat.TraceContext) leat.Event {
	e = e.WithExtension(traceParent, c.Parent)
	if c.State != "" {
		return e.WithExtension(traceState, c.State)
	}
	if _, ok := e.Extension(traceState); ok {
		return e.WithExtension(traceState, nil)
	}
	return e
}

// done takes the outcome of an event.
func (c *publishing) done(i int, err error) {
	c.t.safely(func() { c.note(err) })
	c.report(i, err)
}

func (c *publishing) note(err error) {
	outcome := telemetry.OutcomeOf(err)
	c.t.core.Sent(c.ctx, c.topic, c.began, outcome)
	if c.span == nil {
		return
	}
	if err != nil && c.span.IsRecording() {
		c.span.SetStatus(codes.Error, "")
		c.span.SetAttributes(attribute.String(telemetry.ErrorType, outcome))
	}
	if c.left.Add(-1) == 0 {
		c.span.End()
	}
}
