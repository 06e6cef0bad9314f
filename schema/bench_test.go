package schema_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
)

// BenchmarkEnforcer measures what is the Enforcer's own in a check: the check itself compares a
// length. The parts are a publish of an event with and without a dataschema, the handling of an
// event, and what an event with another dataschema costs on its own.
func BenchmarkEnforcer(b *testing.B) {
	e := newEnforcer(b, orders(b), &schema.EnforcerOptions{Pins: pinned(2)})
	without := event(b, "1", "ok")
	with := without.WithDataSchema(base + "/orders/versions/2")
	publish := e.Publish()(func(_ context.Context, _ string, _ []leat.Event, done func(i int, err error)) { done(0, nil) })
	handler := e.Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }))
	for name, do := range map[string]func() error{
		"publish/with a dataschema": func() (err error) {
			publish(context.Background(), "orders", []leat.Event{with}, func(_ int, outcome error) { err = outcome })
			return err
		},
		"publish/gets its dataschema": func() (err error) {
			publish(context.Background(), "orders", []leat.Event{without}, func(_ int, outcome error) { err = outcome })
			return err
		},
		"process":        func() error { return handler.Handle(context.Background(), with) },
		"WithDataSchema": func() error { return without.WithDataSchema(with.DataSchema()).Validate() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
