package leat_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

// recorder is a handler that notes the types it saw.
type recorder struct {
	types []string
	err   error
}

func (r *recorder) Handle(_ context.Context, e leat.Event) error {
	r.types = append(r.types, e.Type())
	return r.err
}

func routedEvent(t *testing.T, eventType string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent(eventType, &leat.EventOptions{ID: "1", Source: "/test"})
	require.NoError(t, err)
	return e
}

func TestRouterLeadsEachTypeToItsHandler(t *testing.T) {
	placed, paid := &recorder{}, &recorder{err: errors.New("no money")}
	r := leat.NewRouter(leat.Route{Type: "placed", Handler: placed}, leat.Route{Type: "paid", Handler: paid})

	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "placed")))
	assert.Equal(t, paid.err, r.Handle(t.Context(), routedEvent(t, "paid")), "the handler's error is the outcome, unchanged")
	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "shipped")), "an event that nobody wants is skipped")
	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "PLACED")), "types are compared byte for byte")

	assert.Equal(t, []string{"placed"}, placed.types)
	assert.Equal(t, []string{"paid"}, paid.types)
}

func TestRouterAnyTypeTakesTheRest(t *testing.T) {
	placed, rest := &recorder{}, &recorder{}
	r := leat.NewRouter(leat.Route{Type: leat.AnyType, Handler: rest}, leat.Route{Type: "placed", Handler: placed})
	for _, eventType := range []string{"placed", "paid", leat.AnyType} {
		require.NoError(t, r.Handle(t.Context(), routedEvent(t, eventType)))
	}
	assert.Equal(t, []string{"placed"}, placed.types)
	assert.Equal(t, []string{"paid", leat.AnyType}, rest.types)
}

func TestRouterRejectUnhandled(t *testing.T) {
	placed := &recorder{}
	r := leat.NewRouter(leat.Route{Type: "placed", Handler: placed}, leat.RejectUnhandled())
	require.NoError(t, r.Check(leat.Subscription{Topic: "orders", Group: "billing"}))

	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "placed")))
	err := r.Handle(t.Context(), routedEvent(t, "paid"))
	assert.True(t, leat.IsRejected(err))
	assert.EqualError(t, err, `leat: route event "1": handler: no route for type "paid"`)
	assert.Equal(t, leat.CodeHandler, leat.CodeOf(err))

	err = r.Handle(t.Context(), routedEvent(t, strings.Repeat("x", 1<<10)))
	assert.Less(t, len(err.Error()), 300, "a type from outside is cut where it is printed")
}

func TestRouterChecksItsRoutes(t *testing.T) {
	h := &recorder{}
	for _, c := range []struct {
		name   string
		routes []leat.Route
		want   string
	}{
		{"no route", nil, "leat: route: invalid: there is no route, so that every event would be skipped"},
		{"an empty type", []leat.Route{{Handler: h}}, "leat: route: invalid: route 0 has no Type"},
		{"a nil handler", []leat.Route{{Type: "a"}}, `leat: route: invalid: route 0 for type "a" has no Handler`},
		{"a nil HandlerFunc", []leat.Route{{Type: "a", Handler: leat.HandlerFunc(nil)}},
			`leat: route: invalid: route 0 for type "a" has no Handler`},
		{"a type twice", []leat.Route{{Type: "a", Handler: h}, {Type: "a", Handler: h}},
			`leat: route: invalid: route 1: there is another route for type "a"`},
		{"two catch-all routes", []leat.Route{leat.RejectUnhandled(), {Type: leat.AnyType, Handler: h}},
			`leat: route: invalid: route 1: there is another route for type "*"`},
		{"a bad topic", []leat.Route{{Type: "a", Topic: "or/ders", Handler: h}},
			`leat: route: invalid: route 0 for type "a": Topic "or/ders" has '/'; use letters, digits, '.', '_' and '-'`},
		{"everything at once, on one line", []leat.Route{{}, {Type: "a", Handler: h}, {Type: "b"}},
			`leat: route: invalid: route 0 has no Type; route 2 for type "b" has no Handler`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := leat.NewRouter(c.routes...)
			err := r.Check(leat.Subscription{Topic: "orders", Group: "billing"})
			require.EqualError(t, err, c.want)
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			err = r.Handle(t.Context(), routedEvent(t, "a"))
			assert.EqualError(t, err, c.want, "a Router that is wrong acks nothing")
			assert.False(t, leat.IsDecided(err), "nor does it poison")
		})
	}
	assert.Empty(t, h.types)
}

func TestRouterChecksTheTopic(t *testing.T) {
	for _, c := range []struct {
		route, sub string
		ok         bool
	}{
		{"", "anything", true},
		{"orders", "orders", true},
		{"orders", "order", false},
		{"orders", "orders.eu", false},
		{"orders", leat.PoisonTopic("orders", "billing"), true},
		{"orders", leat.PoisonTopic("orders", "billing.eu"), true},
		{"orders", leat.PoisonTopic(leat.PoisonTopic("orders", "billing"), "replay"), true},
		{"orders.eu", leat.PoisonTopic("orders.eu", "billing"), true},
		{"orders", leat.PoisonTopic("order", "billing"), false},
		{"orders", leat.PoisonTopic(leat.PoisonTopic("orders", "eu.billing"), "re.play"), true},
		{"orders", leat.PoisonTopic("orders", ""), true},
		{"orders", leat.PoisonTopic("orders.eu", "billing"), false},
		{"orders.eu", leat.PoisonTopic("orders", "eu.billing"), false},
		{"orders", "orders.eu.billing.poison-3", false},
		{"orders", "orders.eu.billing.poison-02", false},
		{"orders", "orders.billing.poison-1", false},
		{"orders", "orders.billing.poison-", false},
		{"orders", "orders.poison", false},
		{"orders", "orders..poison", false},
		{"orders", "orders.billing.poisons", false},
		{leat.PoisonTopic("orders", "billing"), "orders", false},
	} {
		r := leat.NewRouter(leat.Route{Type: "a", Topic: c.route, Handler: &recorder{}})
		err := r.Check(leat.Subscription{Topic: c.sub, Group: "g"})
		if c.ok {
			assert.NoError(t, err, "a route for topic %q fits a subscription to %q", c.route, c.sub)
			continue
		}
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "a route for topic %q does not fit a subscription to %q", c.route, c.sub)
	}

	err := leat.NewRouter(leat.Route{Type: "a", Topic: "orderz", Handler: &recorder{}}, leat.Route{Type: "b", Topic: "orders",
		Handler: &recorder{}}).Check(leat.Subscription{Topic: "orders", Group: "g"})
	assert.EqualError(t, err, `leat: route topic "orders": invalid: type "a" is published to topic "orderz", not to this one; `+
		`correct it, or leave the route's Topic empty`)
}

func TestRouterChecksARouterInside(t *testing.T) {
	inner := leat.NewRouter(leat.Route{Type: "a", Topic: "payments", Handler: &recorder{}})
	outer := leat.NewRouter(leat.Route{Type: "a", Handler: inner})
	err := outer.Check(leat.Subscription{Topic: "orders", Group: "g"})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	assert.ErrorContains(t, err, `topic "payments"`)
}

func TestRouterKeepsItsOwnRoutes(t *testing.T) {
	h := &recorder{}
	routes := []leat.Route{{Type: "a", Topic: "orders", Handler: h}}
	r := leat.NewRouter(routes...)
	routes[0] = leat.Route{Topic: "elsewhere"}
	require.NoError(t, r.Check(leat.Subscription{Topic: "orders", Group: "g"}))
	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "a")))
	assert.Equal(t, []string{"a"}, h.types)
}

func TestRouterRoutesMayBeChained(t *testing.T) {
	var order []string
	mark := func(name string) leat.Middleware {
		return func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				order = append(order, name)
				return next.Handle(ctx, e)
			})
		}
	}
	h := &recorder{}
	r := leat.NewRouter(
		leat.Route{Type: "a", Topic: "orders", Handler: leat.Chain(h, mark("outer"), mark("inner"))},
		leat.Route{Type: "b", Topic: "orders", Handler: h},
	)
	require.NoError(t, r.Check(leat.Subscription{Topic: "orders", Group: "g"}))
	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "a")))
	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "b")))
	assert.Equal(t, []string{"outer", "inner"}, order)
	assert.Equal(t, []string{"a", "b"}, h.types)
}

func TestRouterDoesNotAllocate(t *testing.T) {
	handled := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	r := leat.NewRouter(leat.Route{Type: "placed", Handler: handled}, leat.Route{Type: "paid", Handler: handled})
	ctx := leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 1})
	for _, eventType := range []string{"placed", "skipped"} {
		e := routedEvent(t, eventType)
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = r.Handle(ctx, e) }), "routing an event that is %s", eventType)
	}
}

func BenchmarkRouter(b *testing.B) {
	handled := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	r := leat.NewRouter(leat.Route{Type: "placed", Handler: handled}, leat.Route{Type: "paid", Handler: handled})
	e, err := leat.NewEvent("paid", &leat.EventOptions{ID: "1", Source: "/test"})
	require.NoError(b, err)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Handle(ctx, e)
	}
}

// TestRouterDoesNotSkipWhatStandsForSomethingElse: what a poison queue has instead of an original
// must not vanish in a replay.
func TestRouterDoesNotSkipWhatStandsForSomethingElse(t *testing.T) {
	h := &recorder{}
	r := leat.NewRouter(leat.Route{Type: "a", Handler: h})
	for _, kind := range []string{"leat.malformed.v1", "leat.reduced.v1"} {
		err := r.Handle(t.Context(), routedEvent(t, kind))
		assert.True(t, leat.IsDecided(err), kind)
		require.ErrorContains(t, err, kind)
		require.NoError(t, leat.NewRouter(leat.Route{Type: kind, Handler: h}).Handle(t.Context(), routedEvent(t, kind)), "a route takes it")
	}
	require.NoError(t, r.Handle(t.Context(), routedEvent(t, "b")), "any other type is skipped")
}
