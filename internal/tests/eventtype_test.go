package leat_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

type order struct {
	ID     string    `json:"id"`
	Amount int       `json:"amount"`
	At     time.Time `json:"at,omitzero"`
	Rate   float64   `json:"rate,omitzero"`
}

var orderPlaced = leat.EventType[order]{
	Name: "com.example.order.placed.v1", Topic: "orders", Source: "/shop", DataSchema: "urn:order:1",
	Key: func(o order) string { return o.ID }, Subject: func(o order) string { return "orders/" + o.ID },
}

func TestEventTypeNewAndDecode(t *testing.T) {
	want := order{ID: "o1", Amount: 5}
	e, err := orderPlaced.New(want)
	require.NoError(t, err)
	require.NoError(t, e.Validate())
	assert.Equal(t, "com.example.order.placed.v1", e.Type())
	assert.Equal(t, "/shop", e.Source())
	assert.Equal(t, "o1", e.Key())
	assert.Equal(t, "orders/o1", e.Subject())
	assert.Equal(t, "urn:order:1", e.DataSchema())
	assert.Equal(t, "application/json", e.DataContentType())
	assert.JSONEq(t, `{"id":"o1","amount":5}`, e.DataString())
	got, err := orderPlaced.Decode(e)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	got, err = orderPlaced.Decode(e.WithData("", e.Data()))
	require.NoError(t, err, "no content type means JSON")
	assert.Equal(t, want, got)
	_, err = orderPlaced.Decode(e.WithData("application/vnd.order+json", e.Data()))
	require.NoError(t, err)

	plain, err := leat.EventType[int]{Name: "n"}.New(1)
	require.NoError(t, err)
	assert.Empty(t, plain.Key()+plain.Subject()+plain.Source())
}

func TestEventTypeNewErrors(t *testing.T) {
	_, err := orderPlaced.New(order{Rate: math.NaN()})
	require.Error(t, err)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	assert.Contains(t, err.Error(), "encode leat_test.order: a value of Go type float64 cannot be written as JSON")
	_, err = leat.EventType[int]{}.New(1)
	requireAttributeError(t, err, leat.CodeInvalid, "type", "empty", "type")
	_, err = orderPlaced.New(order{ID: "\n"})
	requireAttributeError(t, err, leat.CodeInvalid, "subject", "control", "String")
	_, err = leat.EventType[string]{Name: "n"}.New(strings.Repeat("x", 1<<20))
	requireAttributeError(t, err, leat.CodeTooLarge, "event", "bytes", "Size")
}

func TestEventTypeDecodeErrors(t *testing.T) {
	e, err := orderPlaced.New(order{ID: "o1"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		e    leat.Event
		want string
	}{
		"another type":  {e.WithType("other"), `type "other", not "com.example.order.placed.v1"`},
		"zero":          {leat.Event{}, `type ""`},
		"no data":       {e.WithData("application/json", nil), "no data"},
		"content type":  {e.WithText("SECRET"), `content type is "text/plain; charset=utf-8", not JSON`},
		"syntax":        {e.WithData("application/json", []byte(`{"id":SECRET`)), "malformed JSON at byte"},
		"type string":   {e.WithData("application/json", []byte(`{"amount":"SECRET"}`)), `field "amount"`},
		"type number":   {e.WithData("application/json", []byte(`{"amount":123456.5}`)), `field "amount"`},
		"custom method": {e.WithData("application/json", []byte(`{"at":"SECRET"}`)), "does not fit its Go type (*time.ParseError)"},
		"empty":         {e.WithData("application/json", []byte{}), "malformed JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := orderPlaced.Decode(c.e)
			require.Error(t, err)
			assert.Zero(t, v)
			assert.True(t, leat.IsRejected(err), "a decode failure cannot be cured by a retry")
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			assert.Contains(t, err.Error(), c.want)
			for _, printed := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				assert.NotContains(t, printed, "SECRET")
				assert.NotContains(t, printed, "123456")
			}
		})
	}
}

// upper is a codec that is not JSON.
type upper struct{}

func (upper) ContentType() string { return "text/upper" }

func (upper) Encode(v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, errors.New("no string")
	}
	if s == "" {
		return nil, nil
	}
	return []byte(strings.ToUpper(s)), nil
}

func (upper) Decode(contentType string, data []byte, v any) error {
	if contentType != "text/upper" {
		return errors.New("not text/upper")
	}
	*v.(*string) = string(data)
	return nil
}

func TestEventTypeCodec(t *testing.T) {
	shout := leat.EventType[string]{Name: "shout", Codec: upper{}}
	e, err := shout.New("hi")
	require.NoError(t, err)
	assert.Equal(t, "text/upper", e.DataContentType())
	v, err := shout.Decode(e)
	require.NoError(t, err)
	assert.Equal(t, "HI", v)
	_, err = shout.Decode(e.WithText("x"))
	assert.ErrorContains(t, err, "not text/upper")
	e, err = shout.New("")
	require.NoError(t, err)
	assert.True(t, e.HasData(), "a codec's nil is empty data")
	_, err = leat.EventType[int]{Name: "n", Codec: upper{}}.New(1)
	assert.ErrorContains(t, err, "encode int: no string")
}

func TestEventTypeHandler(t *testing.T) {
	var got order
	route := orderPlaced.Handler(func(_ context.Context, e leat.Event, o order) error {
		got = o
		assert.Equal(t, "o1", e.Key())
		return errors.New("later")
	})
	assert.Equal(t, "com.example.order.placed.v1", route.Type)
	assert.Equal(t, "orders", route.Topic)
	e, err := orderPlaced.New(order{ID: "o1"})
	require.NoError(t, err)
	assert.EqualError(t, route.Handler.Handle(t.Context(), e), "later")
	assert.Equal(t, "o1", got.ID)
	assert.True(t, leat.IsRejected(route.Handler.Handle(t.Context(), e.WithText("x"))))
}

// storeBroker accepts everything that is published.
type storeBroker struct {
	leat.Broker

	topic  string
	events []leat.Event
}

func (b *storeBroker) Limits() leat.Limits { return leat.Limits{} }

func (b *storeBroker) Publish(_ context.Context, topic string, events []leat.Event, done func(int, error)) {
	b.topic = topic
	b.events = append(b.events, events...)
	for i := range events {
		done(i, nil)
	}
}

func TestEventTypePublish(t *testing.T) {
	broker := &storeBroker{}
	p := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/default"})
	require.NoError(t, orderPlaced.Publish(t.Context(), p, order{ID: "a"}, order{ID: "b"}))
	assert.Equal(t, "orders", broker.topic)
	require.Len(t, broker.events, 2)
	assert.Equal(t, "/shop", broker.events[0].Source())
	assert.Equal(t, "b", broker.events[1].Key())

	err := orderPlaced.Publish(t.Context(), p, order{ID: "c"}, order{ID: "bad", Rate: math.Inf(1)}, order{ID: "d"})
	failed, ok := errors.AsType[*leat.PublishError](err)
	require.True(t, ok, "%v", err)
	require.Len(t, failed.Failures, 1)
	assert.Equal(t, 3, failed.Total)
	assert.Equal(t, "bad", failed.Failures[0].Event.Key(), "the failed event says which value it was")
	assert.NotEmpty(t, failed.Failures[0].Event.ID())
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(failed.Failures[0].Err))
	require.Len(t, broker.events, 4, "the others are published")
	assert.Equal(t, "d", broker.events[3].Key())

	require.NoError(t, leat.EventType[int]{Name: "n", Topic: "t"}.Publish(t.Context(), p, 1))
	assert.Equal(t, "/default", broker.events[4].Source())
	assert.Error(t, leat.EventType[int]{Name: "n"}.Publish(t.Context(), p, 1), "no topic")
}

func TestEventTypeID(t *testing.T) {
	placed := leat.EventType[order]{
		Name: "com.example.order.placed.v1", Topic: "orders", Source: "/shop", ID: func(o order) string { return o.ID },
	}
	for range 2 {
		e, err := placed.New(order{ID: "A-17"})
		require.NoError(t, err)
		assert.Equal(t, "A-17", e.ID(), "published again, it is the same event")
	}
	one, err := placed.New(order{})
	require.NoError(t, err)
	other, err := placed.New(order{})
	require.NoError(t, err)
	assert.NotEmpty(t, one.ID())
	assert.NotEqual(t, one.ID(), other.ID(), "an empty id is generated")
	_, err = placed.New(order{ID: "\xff"})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
}
