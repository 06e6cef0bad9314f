package leatotel

import (
	"strings"

	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// starts are the names and options of spans by what they are about, made once.
type starts struct {
	t      *Telemetry
	kind   trace.SpanKind
	known  telemetry.Cache[startKey, *start]
	groups telemetry.First[[2]string]
}

type startKey struct{ operation, topic, group, eventType string }

// start is what spans begin with.
type start struct {
	name    string
	options []trace.SpanStartOption
	late    []attribute.KeyValue // what the options leave for a span that is recorded
}

// mostStarts bounds what is remembered, and the topics and groups that spans have. Those may come
// from an event, in a replay, and backends keep a list of the names of spans.
const mostStarts = 1_000

func (s *starts) init(t *Telemetry, kind trace.SpanKind) {
	s.t, s.kind, s.groups = t, kind, telemetry.FirstGroups(mostStarts)
	s.known.Bound, s.known.Make, s.known.Most = s.bound, s.make, mostStarts
}

// of returns what spans of an operation begin with. A publish has no group and no type.
func (s *starts) of(operation, topic, group, eventType string) *start {
	if s.t.o.NoType {
		eventType = ""
	}
	return s.known.Of(startKey{operation, topic, group, eventType})
}

// bound replaces topics and groups that are too many.
func (s *starts) bound(k startKey) startKey {
	pair := s.groups.Of([2]string{k.topic, k.group})
	if k.group == "" {
		pair[1] = ""
	}
	return startKey{k.operation, pair[0], pair[1], strings.Clone(k.eventType)}
}

func (s *starts) make(k startKey) *start {
	topic := telemetry.Bounded(k.topic)
	about := []attribute.KeyValue{
		attribute.String(telemetry.System, s.t.core.System()), attribute.String(telemetry.Operation, k.operation),
		attribute.String(telemetry.Operating, k.operation),
	}
	if topic != "" {
		about = append(about, attribute.String(telemetry.Topic, topic))
	}
	if k.group != "" {
		about = append(about, attribute.String(telemetry.Group, telemetry.Bounded(k.group)))
	}
	if k.eventType != "" {
		about = append(about, attribute.String(telemetry.Type, telemetry.Bounded(k.eventType)))
	}
	made := &start{name: strings.TrimRight(k.operation+" "+topic, " "), options: []trace.SpanStartOption{trace.WithSpanKind(s.kind)}}
	if s.t.o.LateAttributes {
		made.late = about
	} else {
		made.options = append(made.options, trace.WithAttributes(about...))
	}
	return made
}
