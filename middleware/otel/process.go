package leatotel

import (
	"context"
	"strconv"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// oldAfter is the age from which on a span is no child of the context that the event was published
// in: a trace that grows for longer is cut by most stores.
const oldAfter = time.Hour

// Process returns middleware that times each attempt of a handler, and makes a span of it: a child
// of the context in which the event was published, and linked to it. It is no child, but linked, of
// an event older than an hour, of one from a poison queue, and with Options.LinkOnly. Put it first,
// so that it sees the handler's own outcome and that of the other middleware.
//
// The attributes of a span have the event's id, source and type, never its data, subject or key,
// and of an error its code or Go type, never its text.
func (t *Telemetry) Process() leat.Middleware {
	return func(next leat.Handler) leat.Handler {
		p := &processor{t: t, next: next, timer: t.core.NewTimer(!t.o.NoEventAge)}
		p.starting.init(t, trace.SpanKindConsumer)
		return p
	}
}

type processor struct {
	t        *Telemetry
	next     leat.Handler
	timer    *telemetry.Timer
	starting starts
}

// Check passes on what the inner handler says of a subscription.
func (p *processor) Check(sub leat.Subscription) error { return telemetry.Check(p.next, sub) }

func (p *processor) Handle(ctx context.Context, e leat.Event) error {
	a := p.timer.Begin(e)
	inner, span := p.begin(ctx, &e, &a)
	return p.timer.Handle(inner, p.next, &a, func() { p.end(inner, span, &a) })
}

// begin starts the span. Without one that counts it returns ctx.
func (p *processor) begin(ctx context.Context, e *leat.Event, a *telemetry.Attempt) (inner context.Context, span trace.Span) {
	defer p.t.caught()
	if inner = ctx; p.t.tracer == nil { // a panic returns it
		return inner, nil
	}
	info, _ := leat.InfoFrom(ctx)
	created, sent := createdIn(e), info.Trace
	if !created.IsValid() {
		created, sent = sentIn(sent), nil
	}
	parent := ctx
	if created.IsValid() && p.isChild(&info, a) {
		parent = newRemote(ctx, p.t.spanKey, created)
	}
	start := p.starting.of("process", info.Topic, info.Group, e.Type())
	started, span := p.t.tracer.Start(parent, start.name, start.options...)
	if started == nil || span == nil {
		return inner, nil
	}
	inner = started
	if !span.IsRecording() {
		return inner, span
	}
	if created.IsValid() {
		span.AddLink(trace.Link{SpanContext: created})
	}
	if sent := sentIn(sent); sent.IsValid() && (sent.SpanID() != created.SpanID() || sent.TraceID() != created.TraceID()) {
		span.AddLink(trace.Link{SpanContext: sent})
	}
	span.SetAttributes(aboutDelivery(start.late, p.t.core.System(), &info, e)...)
	return inner, span
}

// isChild reports whether the span becomes part of the trace of the publish.
func (p *processor) isChild(info *leat.Info, a *telemetry.Attempt) bool {
	if p.t.o.LinkOnly || info.Replays > 0 || info.Group == leat.ReplayGroup {
		return false
	}
	age, known := p.timer.Age(a)
	return !known || age < oldAfter
}

// end records the outcome.
func (p *processor) end(ctx context.Context, span trace.Span, a *telemetry.Attempt) {
	defer p.t.caught()
	info, _ := leat.InfoFrom(ctx) // a Router may have set Skipped
	p.timer.Took(ctx, &info, a)
	if span == nil {
		return
	}
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if info.Skipped {
		span.SetAttributes(attribute.Bool("leat.skipped", true))
	}
	note(span, a.Outcome)
}

// note gives a span an outcome.
func note(span trace.Span, outcome string) {
	if outcome == "" {
		return
	}
	span.SetAttributes(attribute.String(telemetry.ErrorType, outcome))
	if !telemetry.IsNoFailure(outcome) {
		span.SetStatus(codes.Error, "")
	}
}

// aboutEvent is what a span tells of one event, behind what was left for it.
func aboutEvent(late []attribute.KeyValue, e *leat.Event) []attribute.KeyValue {
	const most = 8 // with what its callers add
	id := telemetry.Bounded(e.ID())
	return append(append(make([]attribute.KeyValue, 0, len(late)+most), late...),
		attribute.String("messaging.message.id", id), attribute.String("cloudevents.event_id", id),
		attribute.String("cloudevents.event_source", telemetry.Bounded(e.Source())))
}

// aboutDelivery is what a span tells of a delivery beyond what samplers see.
func aboutDelivery(late []attribute.KeyValue, system string, info *leat.Info, e *leat.Event) []attribute.KeyValue {
	about := append(aboutEvent(late, e), attribute.Int("leat.attempt", info.Attempt))
	if info.Deliveries > 0 {
		about = append(about, attribute.Int("leat.deliveries", info.Deliveries))
	}
	if info.Replays > 0 {
		about = append(about, attribute.Int("leat.replays", info.Replays))
	}
	if system == "kafka" {
		about = append(about, attribute.Int64("messaging.kafka.offset", info.Position.Offset),
			attribute.String("messaging.destination.partition.id", strconv.Itoa(int(info.Position.Partition))))
	}
	return about
}
