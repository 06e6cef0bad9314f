package leatotel

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
		return &processor{t: t, next: next, timer: t.core.NewTimer(!t.o.NoEventAge), epoch: time.Now()}
	}
}

type processor struct {
	t        *Telemetry
	next     leat.Handler
	timer    *telemetry.Timer
	epoch    time.Time // time.Since reads one clock, time.Now two
	starting startOptions
}

// Check passes on what the inner handler says of a subscription.
func (p *processor) Check(sub leat.Subscription) error { return telemetry.Check(p.next, sub) }

func (p *processor) Handle(ctx context.Context, e leat.Event) error {
	began := time.Since(p.epoch)
	inner, span := p.begin(ctx, &e)
	returned := false
	defer func() {
		if !returned {
			p.end(ctx, inner, span, &e, time.Since(p.epoch)-began, telemetry.Panicked) // or the end of the goroutine
		}
	}()
	err := p.next.Handle(inner, e)
	returned = true
	p.end(ctx, inner, span, &e, time.Since(p.epoch)-began, telemetry.OutcomeOf(err))
	return err
}

// begin starts the span. Without one that counts it returns ctx.
func (p *processor) begin(ctx context.Context, e *leat.Event) (inner context.Context, span trace.Span) {
	defer p.t.caught()
	if inner = ctx; p.t.tracer == nil { // a panic returns it
		return inner, nil
	}
	info, _ := leat.InfoFrom(ctx)
	created, sent := createdIn(e), sentIn(info.Trace)
	if !created.IsValid() {
		created, sent = sent, trace.SpanContext{}
	}
	parent := ctx
	if created.IsValid() && p.isChild(&info, e) {
		parent = trace.ContextWithRemoteSpanContext(ctx, created)
	}
	start := p.starting.process(p.t, &info, e)
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
	if sent.IsValid() && (sent.SpanID() != created.SpanID() || sent.TraceID() != created.TraceID()) {
		span.AddLink(trace.Link{SpanContext: sent})
	}
	span.SetAttributes(aboutDelivery(p.t.core.System(), &info, e)...)
	return inner, span
}

// isChild reports whether the span becomes part of the trace of the publish. It asks the wall
// clock, which may have been set since the epoch.
func (p *processor) isChild(info *leat.Info, e *leat.Event) bool {
	if p.t.o.LinkOnly || info.Replays > 0 || info.Group == leat.ReplayGroup {
		return false
	}
	at := e.Time()
	return at.IsZero() || time.Since(at) < oldAfter
}

// end records the outcome.
func (p *processor) end(
	ctx, inner context.Context, span trace.Span, e *leat.Event, took time.Duration, outcome string,
) {
	defer p.t.caught()
	info, _ := leat.InfoFrom(ctx) // a Router may have set Skipped
	p.timer.Took(inner, &info, e, took, outcome)
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
	if outcome != "" {
		span.SetAttributes(attribute.String(telemetry.ErrorType, outcome))
		if !telemetry.IsNoFailure(outcome) {
			span.SetStatus(codes.Error, "")
		}
	}
}

// aboutEvent is what a span tells of one event.
func aboutEvent(e *leat.Event) []attribute.KeyValue {
	const most = 8 // with what its callers add
	id := telemetry.Bounded(e.ID())
	return append(make([]attribute.KeyValue, 0, most),
		attribute.String("messaging.message.id", id), attribute.String("cloudevents.event_id", id),
		attribute.String("cloudevents.event_source", telemetry.Bounded(e.Source())))
}

// aboutDelivery is what a span tells of a delivery beyond what samplers see.
func aboutDelivery(system string, info *leat.Info, e *leat.Event) []attribute.KeyValue {
	about := append(aboutEvent(e), attribute.Int("leat.attempt", info.Attempt))
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

// startOptions are the options of spans by what they are about, made once.
type startOptions struct {
	last   atomic.Pointer[startOption] // the one that was used last, which is often the next
	mu     sync.RWMutex
	known  map[startKey]*startOption
	groups map[[2]string]bool // topics and groups that have spans
}

type startKey struct{ operation, topic, group, eventType string }

type startOption struct {
	key     startKey
	name    string
	options []trace.SpanStartOption
}

// mostStarts bounds what is remembered, and the topics and groups that spans have. Those may come
// from an event, in a replay, and backends keep a list of the names of spans.
const mostStarts = 1_000

func (s *startOptions) process(t *Telemetry, info *leat.Info, e *leat.Event) *startOption {
	k := startKey{"process", info.Topic, info.Group, ""}
	if !t.o.NoType {
		k.eventType = e.Type()
	}
	return s.of(t, k, trace.SpanKindConsumer)
}

func (s *startOptions) of(t *Telemetry, k startKey, kind trace.SpanKind) *startOption {
	if o := s.last.Load(); o != nil && o.key == k {
		return o
	}
	s.mu.RLock()
	o := s.known[k]
	s.mu.RUnlock()
	if o == nil {
		o = s.add(t, k, kind)
	}
	s.last.Store(o)
	return o
}

// add makes the options of k and remembers them.
func (s *startOptions) add(t *Telemetry, k startKey, kind trace.SpanKind) *startOption {
	k = startKey{k.operation, strings.Clone(k.topic), strings.Clone(k.group), strings.Clone(k.eventType)} // pieces of an event
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known, s.groups = map[startKey]*startOption{}, map[[2]string]bool{}
	}
	o := &startOption{key: k}
	pair := [2]string{k.topic, k.group}
	if !s.groups[pair] && len(s.groups) >= mostStarts {
		if k.topic = telemetry.Other; k.group != "" {
			k.group = telemetry.Other
		}
	} else {
		s.groups[pair] = true
	}
	o.name, o.options = k.operation+" "+telemetry.Bounded(k.topic), startOptionsOf(t, k, kind)
	if len(s.known) < mostStarts {
		s.known[o.key] = o
	}
	return o
}

// startOptionsOf makes the options of spans that are about k.
func startOptionsOf(t *Telemetry, k startKey, kind trace.SpanKind) []trace.SpanStartOption {
	about := []attribute.KeyValue{
		attribute.String(telemetry.System, t.core.System()), attribute.String(telemetry.Operation, k.operation),
		attribute.String(telemetry.Operating, k.operation), attribute.String(telemetry.Topic, telemetry.Bounded(k.topic)),
	}
	if k.group != "" {
		about = append(about, attribute.String(telemetry.Group, telemetry.Bounded(k.group)))
	}
	if k.eventType != "" {
		about = append(about, attribute.String(telemetry.Type, telemetry.Bounded(k.eventType)))
	}
	return []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(about...)}
}
