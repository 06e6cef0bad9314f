package leat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
	"github.com/leatgo/leat/internal/nils"
)

// Codec turns values into the data of events and back. Implementations are safe for concurrent use.
type Codec interface {
	// ContentType returns the datacontenttype of what Encode returns, a media type (RFC 2046).
	ContentType() string
	// Encode returns the data for v. The caller copies it.
	Encode(v any) ([]byte, error)
	// Decode reads data into v, a pointer. It may keep data. It returns an error for a contentType
	// that it does not read; "" means that the event has none. The error goes to logs and into the
	// poison queue, so it must not quote the data.
	Decode(contentType string, data []byte, v any) error
}

// JSONCodec is the [Codec] of [encoding/json]: application/json. It reads every content type whose
// subtype is json or ends with +json, and events without one. Its decode errors name fields and
// types, never values.
type JSONCodec struct{}

// ContentType returns "application/json".
func (JSONCodec) ContentType() string { return attribute.JSONType }

// Encode returns v as [json.Marshal] writes it.
func (JSONCodec) Encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, encodeFault(err)
	}
	return b, nil
}

// Decode reads data as [json.Unmarshal] does.
func (JSONCodec) Decode(contentType string, data []byte, v any) error {
	if attribute.ContentOf(contentType) != attribute.JSON {
		return fmt.Errorf("the content type is %s, not JSON", quote(contentType))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return decodeFault(err)
	}
	return nil
}

// decodeFault says what went wrong without the values that the errors of encoding/json, and of what
// it calls, quote.
func decodeFault(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := ""
		if e.Field != "" {
			field = "of field " + quote(e.Field) + " "
		}
		return fmt.Errorf("JSON value %sat byte %d does not fit into Go type %v", field, e.Offset, e.Type)
	}
	return fmt.Errorf("JSON value does not fit its Go type (%T)", err)
}

// encodeFault does the same for encoding, where only errors of the caller's own types are passed
// on.
func encodeFault(err error) error {
	if e, ok := errors.AsType[*json.UnsupportedValueError](err); ok {
		return fmt.Errorf("a value of Go type %v cannot be written as JSON", e.Value.Type())
	}
	return err
}

// EventType is a contract that services share: the type of an event, its data, where it travels and
// what keeps its order. Name and Topic are required; the zero value of the rest works.
type EventType[T any] struct {
	// Name is the attribute type, such as "com.example.order.placed.v1".
	Name string
	// Topic is where the events are published to.
	Topic string
	// Source is the attribute source. Empty means the Producer's.
	Source string
	// ID returns the attribute id: with one that is made of v, an event that is published again has
	// the same id. Nil, or "", means a new UUIDv7.
	ID func(v T) string
	// Key returns what keeps the order, such as the order's id. Nil, or "", means none.
	Key func(v T) string
	// Subject returns the attribute subject. Nil, or "", means none.
	Subject func(v T) string
	// Codec turns values into data. Nil means [JSONCodec].
	Codec Codec
	// DataSchema is the attribute dataschema, an absolute URI. Empty means none.
	DataSchema string
}

func (t EventType[T]) codec() Codec {
	if t.Codec == nil {
		return JSONCodec{}
	}
	return t.Codec
}

// New returns an event with v as its data. The error is an [*Error] with [CodeInvalid] or
// [CodeTooLarge].
func (t EventType[T]) New(v T) (Event, error) {
	e := t.event(v)
	if err := e.d().err; err != nil {
		return Event{}, err
	}
	return e, nil
}

// event returns the event for v. When that cannot be made, it is one that Validate refuses with the
// reason.
func (t EventType[T]) event(v T) Event {
	c := t.codec()
	o := EventOptions{Source: t.Source, DataSchema: t.DataSchema}
	if t.ID != nil {
		o.ID = t.ID(v)
	}
	if t.Key != nil {
		o.Key = t.Key(v)
	}
	if t.Subject != nil {
		o.Subject = t.Subject(v)
	}
	data, err := c.Encode(v)
	if err == nil {
		if o.DataContentType, o.Data = c.ContentType(), data; o.Data == nil {
			o.Data = []byte{}
		}
	} else {
		err = fmt.Errorf("encode %T: %w", v, err)
	}
	e := newEvent(t.Name, &o, err)
	if _, ok := c.(JSONCodec); ok {
		e.p.validJSON = jsontext.MarshaledIsValid(e.p.data) // nobody else has e yet
	}
	return e
}

// Decode returns the data of e. The error is an outcome of [Reject] around an [*Error] with Op
// "decode" and [CodeInvalid]: for another type, for an event without data, and when the codec
// cannot read the data. It quotes nothing of the data.
func (t EventType[T]) Decode(e Event) (v T, err error) {
	fail := func(err error) (T, error) {
		var zero T
		return zero, Reject(&Error{Op: "decode", EventID: e.ID(), Code: CodeInvalid, Err: err})
	}
	if e.Type() != t.Name {
		return fail(fmt.Errorf("the event has type %s, not %s", quote(e.Type()), quote(t.Name)))
	}
	if err := decodeData(e, t.codec(), &v); err != nil {
		return fail(err)
	}
	return v, nil
}

// decodeData reads the data of e into v.
func decodeData(e Event, c Codec, v any) error {
	if err := e.d().err; err != nil {
		return err
	}
	if !e.HasData() {
		return errors.New("the event has no data")
	}
	if err := c.Decode(e.DataContentType(), e.Data(), v); err != nil {
		return fmt.Errorf("data of type %s: %w", quote(e.Type()), err)
	}
	return nil
}

// Publish publishes an event for each of vs to the Topic through p, a [Producer] or an outbox, and
// waits as [Producer.Publish] does. A value that cannot become an event is refused, with its error
// in the [*PublishError]; the others are published.
func (t EventType[T]) Publish(ctx context.Context, p Publisher, vs ...T) error {
	if _, ok := p.(*Producer); !ok && nils.Is(p) {
		p = unfitProducer("the Publisher is nil; give a Producer or an outbox")
	}
	events := make([]Event, len(vs))
	for i, v := range vs {
		events[i] = t.event(v)
	}
	return p.Publish(ctx, t.Topic, events...)
}

// Handler returns the route for a handler that gets the decoded data. What Decode refuses goes to
// the poison queue. A nil fn makes a route without a handler, which [Router.Check] and [Run]
// refuse.
func (t EventType[T]) Handler(fn func(ctx context.Context, e Event, v T) error) Route {
	if fn == nil {
		return Route{Type: t.Name, Topic: t.Topic, Data: reflect.TypeFor[T]()}
	}
	return Route{Type: t.Name, Topic: t.Topic, Data: reflect.TypeFor[T](), Handler: HandlerFunc(func(ctx context.Context, e Event) error {
		v, err := t.Decode(e)
		if err != nil {
			return err
		}
		return fn(ctx, e, v)
	})}
}

// Program is what a program publishes and consumes, as data, for documents such as AsyncAPI that
// are made from it. [Describe] makes one; there is no registry.
type Program struct {
	// Publishes are the types that it publishes.
	Publishes []TypeInfo
	// Consumes has an entry for each Consumer.
	Consumes []ConsumerInfo
}

// TypeInfo is what is known of a type of events. [EventType.Describe] fills in all of it; of a
// [Route] only Type, Topic and Data are known.
type TypeInfo struct {
	// Type is the attribute type, or [AnyType].
	Type string
	// Topic is where events of the type are published. Empty means any topic.
	Topic string
	// Data is the Go type of the data; nil means unknown.
	Data reflect.Type
	// ContentType is the attribute datacontenttype.
	ContentType string
	// Source is the attribute source; empty means that of the Producer.
	Source string
	// DataSchema is the attribute dataschema; empty means none.
	DataSchema string
	// Keyed says that events have a key, which keeps their order.
	Keyed bool
	// Batch is how many events at most the handler of a [Route] gets at once, see [Batch]; 0 where
	// it gets them one by one, and of a type that is published.
	Batch int
}

// ConsumerInfo is what is known of a [Consumer].
type ConsumerInfo struct {
	// Subscription is what it receives.
	Subscription Subscription
	// PoisonTopic is where its rejected events go. Empty means that Leat publishes them nowhere.
	PoisonTopic string
	// Types are those of the routes of its [Router], in their order. It is nil where the handler is
	// neither a Router nor one in a [Chain]: then the Consumer may handle any type.
	Types []TypeInfo
	// Batch is how many events at most its handler gets at once, see [Batch]. It is 0 where it gets
	// them one by one, and for a Router, whose Types say it.
	Batch int
}

// Describe returns what consumers and published tell of a program. Its order is theirs. It runs
// nothing and asks no broker, and takes a Consumer as it is, also one that Run would refuse; a nil
// one is left out.
func Describe(consumers []*Consumer, published ...TypeInfo) Program {
	p := Program{Publishes: append([]TypeInfo(nil), published...)}
	for _, c := range consumers {
		if c == nil {
			continue
		}
		info := ConsumerInfo{Subscription: c.sub}
		if !nils.Is(c.o.PoisonQueue) {
			info.PoisonTopic = c.poisonTopic()
		}
		for _, r := range c.routes {
			info.Types = append(info.Types, TypeInfo{Type: r.Type, Topic: r.Topic, Data: r.Data, Batch: batchSize(r.Handler)})
		}
		if c.routes == nil {
			info.Batch = batchSize(c.root)
		}
		p.Consumes = append(p.Consumes, info)
	}
	return p
}

// Describe returns what t says of its events, for [Describe].
func (t EventType[T]) Describe() TypeInfo {
	return TypeInfo{
		Type: t.Name, Topic: t.Topic, Data: reflect.TypeFor[T](), ContentType: t.codec().ContentType(),
		Source: t.Source, DataSchema: t.DataSchema, Keyed: t.Key != nil,
	}
}

// Routes returns the routes of r in their order, those included that [Router.Check] finds fault
// with.
func (r *Router) Routes() []Route {
	if r == nil {
		return nil
	}
	return append([]Route(nil), r.routes...)
}

// Subscription returns what c receives, with the limits that its options and the defaults give.
func (c *Consumer) Subscription() Subscription { return c.sub }

// routesOf returns the routes of a Router, also of one in a Chain; nil for every other Handler.
func routesOf(h Handler) []Route {
	switch h := h.(type) {
	case *Router:
		return h.Routes()
	case *checkedHandler:
		return h.routes
	}
	return nil
}
