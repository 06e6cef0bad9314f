package leat_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// outbox is a [leat.Publisher] that keeps events instead of publishing them, as one in a
// transaction does.
type outbox struct {
	kept map[string][]leat.Event
	err  error
}

func (o *outbox) Publish(_ context.Context, topic string, events ...leat.Event) error {
	if o.err != nil {
		return o.err
	}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return &leat.PublishError{Topic: topic, Total: len(events), Failures: []leat.PublishFailure{{Event: e, Err: err}}}
		}
	}
	if o.kept == nil {
		o.kept = map[string][]leat.Event{}
	}
	o.kept[topic] = append(o.kept[topic], events...)
	return nil
}

// An EventType publishes through a Producer and through what keeps events for one.
func TestEventTypePublishesThroughAnOutbox(t *testing.T) {
	o := &outbox{}
	require.NoError(t, orderPlaced.Publish(t.Context(), o, order{ID: "1"}, order{ID: "2"}))
	require.Len(t, o.kept["orders"], 2)
	assert.Equal(t, "2", o.kept["orders"][1].Key())

	err := orderPlaced.Publish(t.Context(), o, order{ID: "\n"})
	failed, ok := errors.AsType[*leat.PublishError](err)
	require.True(t, ok, "what cannot be made an event is refused by Validate")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	assert.Len(t, failed.Refused(), 1)
	assert.Len(t, o.kept["orders"], 2)

	full := errors.New("the transaction is over")
	assert.Equal(t, full, orderPlaced.Publish(t.Context(), &outbox{err: full}, order{ID: "1"}), "the error comes as it is")
}

// Without a Publisher every event is refused, with the reason, and nothing panics.
func TestEventTypeRefusesANilPublisher(t *testing.T) {
	for name, c := range map[string]struct {
		p    leat.Publisher
		want string
	}{
		"nil":                 {nil, "the Publisher is nil"},
		"outbox in interface": {(*outbox)(nil), "the Publisher is nil"},
		"producer":            {(*leat.Producer)(nil), "the Producer is nil"},
		"zero producer":       {&leat.Producer{}, "the Producer is nil"},
	} {
		err := orderPlaced.Publish(t.Context(), c.p, order{ID: "1"}, order{ID: "2"})
		require.ErrorContains(t, err, c.want, name)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), name)
		failed, ok := errors.AsType[*leat.PublishError](err)
		require.True(t, ok, name)
		assert.Len(t, failed.Refused(), 2, name)
		assert.NoError(t, orderPlaced.Publish(t.Context(), c.p), "%s: without a value there is nothing to refuse", name)
	}
}

// Every form in which an event comes to a poison queue is known as poisoned, also when a transport
// or a format has carried it, and nothing else is.
func TestIsPoisoned(t *testing.T) {
	e := event(t, "1", "k")
	info := leat.Info{Topic: "orders", Group: "billing", Attempt: 1}
	many := e
	for i := range 50 {
		many = many.WithExtension("x"+string(rune('a'+i%26))+string(rune('a'+i/26)), "v")
	}
	for name, p := range map[string]leat.Poisoned{
		"an event":  {Event: e, Reason: errors.New("no"), Info: info},
		"malformed": {Malformed: &leat.Malformed{Body: []byte("{")}, Info: info},
		"reduced":   {Event: many, Info: info},
		"no reason": {Event: e},
	} {
		made, err := p.AsEventWithin(leat.Limits{MaxAttributes: 40})
		require.NoError(t, err, name)
		assert.True(t, leat.IsPoisoned(made), name)
		assert.True(t, leat.IsPoisoned(made.WithSource("/other")), name)
		again, err := leat.Poisoned{Event: made, Info: info}.AsEvent()
		require.NoError(t, err, name)
		assert.True(t, leat.IsPoisoned(again), "%s, poisoned twice", name)
		headers := []leat.Header{}
		for k, v := range made.Attributes() {
			headers = append(headers, leat.Header{Name: k, Value: []byte(v)})
		}
		carried, err := new(leat.Decoder).Decode(headers, made.Data())
		require.NoError(t, err, name)
		assert.True(t, leat.IsPoisoned(carried), "%s, by headers", name)
		text, err := made.MarshalJSON()
		require.NoError(t, err, name)
		var read leat.Event
		require.NoError(t, read.UnmarshalJSON(text), name)
		assert.True(t, leat.IsPoisoned(read), "%s, by JSON", name)
		back, err := leat.PoisonedFrom(made)
		require.NoError(t, err, name)
		assert.False(t, leat.IsPoisoned(back.Event), "%s: the original", name)
	}
	assert.False(t, leat.IsPoisoned(e))
	assert.False(t, leat.IsPoisoned(leat.Event{}))
	assert.False(t, leat.IsPoisoned(e.WithType("leat.malformed.v1")), "a type alone proves nothing")
}

// A check in the chain of a Producer that lets poisoned events pass keeps nothing out of the poison
// queue.
func TestAPublishCheckLetsPoisonedEventsPass(t *testing.T) {
	b := memory.New(nil)
	defer func() { assert.NoError(t, b.Close()) }()
	check := func(next leat.PublishFunc) leat.PublishFunc {
		return func(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			if e := events[0]; !leat.IsPoisoned(e) && e.DataString() == "bad" {
				done(0, &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: leat.CodeInvalid, Err: errors.New("bad data")})
				return
			}
			next(ctx, topic, events, done)
		}
	}
	p := leat.NewProducer(b, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{check}})
	bad := event(t, "1", "k").WithText("bad")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(p.Publish(t.Context(), "orders", bad)))
	q := middleware.PoisonQueue(p, nil)
	require.NoError(t, q.Poison(t.Context(), leat.Poisoned{Event: bad, Info: leat.Info{Topic: "orders", Group: "billing"}}))
}
