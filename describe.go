package leat

import (
	"reflect"

	"github.com/leatgo/leat/internal/nils"
)

// Program is what a program publishes and consumes, as data, for documents such as AsyncAPI that are made from it. [Describe] makes one;
// there is no registry.
type Program struct {
	// Publishes are the types that it publishes.
	Publishes []TypeInfo
	// Consumes has an entry for each Consumer.
	Consumes []ConsumerInfo
}

// TypeInfo is what is known of a type of events. [EventType.Describe] fills in all of it; of a [Route] only Type, Topic and Data are known.
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
}

// ConsumerInfo is what is known of a [Consumer].
type ConsumerInfo struct {
	// Subscription is what it receives.
	Subscription Subscription
	// PoisonTopic is where its rejected events go. Empty means that Leat publishes them nowhere.
	PoisonTopic string
	// Types are those of the routes of its [Router], in their order. It is nil where the handler is neither a Router nor one in a [Chain]:
	// then the Consumer may handle any type.
	Types []TypeInfo
}

// Describe returns what consumers and published tell of a program. Its order is theirs. It runs nothing and asks no broker, and takes
// a Consumer as it is, also one that Run would refuse; a nil one is left out.
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
			info.Types = append(info.Types, TypeInfo{Type: r.Type, Topic: r.Topic, Data: r.Data})
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

// Routes returns the routes of r in their order, those included that [Router.Check] finds fault with.
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
