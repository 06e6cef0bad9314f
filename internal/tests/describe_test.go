package leat_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

func TestDescribe(t *testing.T) {
	b := newFakeBroker()
	placed := orderPlaced.Handler(func(context.Context, leat.Event, order) error { return nil })
	router := leat.NewRouter(placed, leat.Route{Type: "raw", Handler: &recorder{}}, leat.RejectUnhandled())
	same := func(next leat.Handler) leat.Handler { return next }
	want := []leat.TypeInfo{
		{Type: orderPlaced.Name, Topic: "orders", Data: reflect.TypeFor[order]()}, {Type: "raw"}, {Type: leat.AnyType},
	}
	sub := leat.Subscription{Topic: "orders", Group: "billing", Unordered: true}
	queue := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
	for name, c := range map[string]struct {
		handler leat.Handler
		types   []leat.TypeInfo
	}{
		"a Router":                  {router, want},
		"one in a Chain":            {leat.Chain(router, same), want},
		"one in a Chain in a Chain": {leat.Chain(leat.Chain(router, same), same, same), want},
		"another handler":           {&recorder{}, nil},
		"a wrong Router":            {leat.NewRouter(leat.Route{Type: "a"}), []leat.TypeInfo{{Type: "a"}}},
		"a nil Router":              {(*leat.Router)(nil), nil},
		"none":                      {nil, nil},
	} {
		consumer := leat.NewConsumer(b, sub, c.handler, &leat.ConsumerOptions{
			PoisonQueue: queue, MaxInFlight: 7, Middleware: []leat.Middleware{same},
		})
		p := leat.Describe([]*leat.Consumer{nil, consumer}, orderPlaced.Describe())
		if assert.Len(t, p.Consumes, 1, name) {
			info := p.Consumes[0]
			assert.Equal(t, c.types, info.Types, name)
			assert.Equal(t, "orders.billing.poison", info.PoisonTopic, name)
			assert.Equal(t, consumer.Subscription(), info.Subscription, name)
		}
	}
	full := sub.WithDefaults()
	full.MaxInFlight = 7
	assert.Equal(t, full, leat.NewConsumer(b, sub, router, &leat.ConsumerOptions{MaxInFlight: 7}).Subscription())

	assert.Equal(t, leat.TypeInfo{
		Type: "com.example.order.placed.v1", Topic: "orders", Data: reflect.TypeFor[order](), ContentType: "application/json",
		Source: "/shop", DataSchema: "urn:order:1", Keyed: true,
	}, orderPlaced.Describe())
	assert.Equal(t, "text/upper", leat.EventType[string]{Name: "a", Codec: upper{}}.Describe().ContentType)
	assert.Equal(t, leat.Program{}, leat.Describe(nil))
}

// What Routes and Describe return belongs to the caller.
func TestRoutesAreACopy(t *testing.T) {
	r := leat.NewRouter(leat.Route{Type: "a", Topic: "orders", Handler: &recorder{}})
	r.Routes()[0].Type = "b"
	assert.Equal(t, "a", r.Routes()[0].Type)
	published := []leat.TypeInfo{orderPlaced.Describe()}
	p := leat.Describe(nil, published...)
	p.Publishes[0].Type = "b"
	assert.Equal(t, orderPlaced.Name, published[0].Type)
}

// A Consumer that Run refuses is described as far as it goes, and nothing panics.
func TestDescribeTakesAConsumerThatRunRefuses(t *testing.T) {
	c := leat.NewConsumer(nil, leat.Subscription{Topic: "orders"}, nil, &leat.ConsumerOptions{PoisonQueue: (*pointerQueue)(nil)})
	p := leat.Describe([]*leat.Consumer{c, {}})
	assert.Equal(t, "orders", p.Consumes[0].Subscription.Topic)
	assert.Empty(t, p.Consumes[0].PoisonTopic)
	assert.Len(t, p.Consumes, 2)
}
