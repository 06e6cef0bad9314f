package cases

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
)

// language is a language of schemas, with an order in it.
type language struct {
	name     string
	library  string // what is called directly
	about    string
	times    int // how often an operation is called in a round
	format   schema.Format
	versions [2]string // texts of the schema; an event of either is one of both, unless it converts
	content  string    // type
	converts bool
	// data returns an order of version 2, and direct the check of it by the library alone, of the
	// same text and bytes.
	data   func() ([]byte, error)
	direct func() (func() error, error)
}

const (
	base      = "https://schemas.example.com/subjects"
	eventType = "com.example.order.placed"
)

var errNotHandled = errors.New("the event was not handed on")

// enforcer returns an Enforcer with both versions, and the pinned one.
func (l *language) enforcer(pinned int) (*schema.Enforcer, error) {
	formats := []schema.Format{l.format}
	registry, err := schema.NewMemory(&schema.MemoryOptions{Formats: formats})
	if err != nil {
		return nil, err
	}
	for _, text := range l.versions {
		if _, err := registry.Register(context.Background(), "orders", schema.Definition{Format: l.format.Name(), Text: text}); err != nil {
			return nil, err
		}
	}
	return schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: formats, Base: base, Pins: map[string]schema.Ref{eventType: {Subject: "orders", Version: pinned}},
	})
}

// event returns an event with an order, and with a dataschema where one is given.
func (l *language) event(data []byte, dataSchema string) (leat.Event, error) {
	return leat.NewEvent(eventType, &leat.EventOptions{
		Source: "/shop/checkout", DataContentType: l.content, DataSchema: dataSchema, Data: data,
	})
}

func dataSchema(version int) string { return base + "/orders/versions/" + string(rune('0'+version)) }

// published returns the publish of one event.
func (l *language) published(named bool) (func() error, error) {
	enforcer, err := l.enforcer(2)
	if err != nil {
		return nil, err
	}
	data, err := l.data()
	if err != nil {
		return nil, err
	}
	uri := ""
	if named {
		uri = dataSchema(2)
	}
	e, err := l.event(data, uri)
	if err != nil {
		return nil, err
	}
	events, outcome := []leat.Event{e}, error(nil)
	publish := enforcer.Publish()(func(_ context.Context, _ string, _ []leat.Event, done func(i int, err error)) { done(0, nil) })
	done := func(_ int, err error) { outcome = err }
	return func() error {
		outcome = errNotHandled
		publish(context.Background(), "orders", events, done)
		return outcome
	}, nil
}

// processed returns the handling of an event of one version by a service with another one.
func (l *language) processed(version, pinned int) (func() error, error) {
	data, err := l.data()
	if err != nil {
		return nil, err
	}
	return l.handled(data, version, pinned)
}

func (l *language) handled(data []byte, version, pinned int) (func() error, error) {
	enforcer, err := l.enforcer(pinned)
	if err != nil {
		return nil, err
	}
	e, err := l.event(data, dataSchema(version))
	if err != nil {
		return nil, err
	}
	handled := errNotHandled
	handler := enforcer.Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { handled = nil; return nil }))
	return func() error {
		handled = errNotHandled
		return errors.Join(handler.Handle(context.Background(), e), handled)
	}, nil
}
