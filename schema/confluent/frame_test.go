package confluent_test

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// fake returns a Registry that asks the fake of franz-go, and its client.
func fake(t *testing.T) (*confluent.Registry, *sr.Client) {
	t.Helper()
	server := srfake.New()
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	own := &http.Client{Transport: transport}
	r, err := confluent.New(&confluent.Options{URLs: []string{server.URL()}, Client: own})
	require.NoError(t, err)
	client, err := sr.NewClient(sr.URLs(server.URL()), sr.HTTPClient(own))
	require.NoError(t, err)
	return r, client
}

const base = "https://schemas.example.com/subjects"

func enforcer(t *testing.T, r schema.Reader, o schema.EnforcerOptions) *schema.Enforcer {
	t.Helper()
	o.Base, o.Pins = base, map[string]schema.Ref{"order.placed": {Subject: "orders", Version: 1}}
	if o.Formats == nil {
		o.Formats = []schema.Format{jsonschema.Format{}}
	}
	e, err := schema.NewEnforcer(r, &o)
	require.NoError(t, err)
	require.NoError(t, e.Warm(t.Context()))
	return e
}

func event(t *testing.T, data string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{Source: "/test", DataContentType: "application/json", Data: []byte(data)})
	require.NoError(t, err)
	return e
}

// published is an event as Publish sends it.
func published(t *testing.T, e *schema.Enforcer, event leat.Event) (sent leat.Event) {
	t.Helper()
	next := func(_ context.Context, _ string, events []leat.Event, done func(i int, err error)) {
		sent = events[0]
		done(0, nil)
	}
	e.Publish()(next)(t.Context(), "orders", []leat.Event{event}, func(_ int, err error) { require.NoError(t, err) })
	return sent
}

// handled is an event as the handler gets it.
func handled(t *testing.T, e *schema.Enforcer, event leat.Event) (got leat.Event) {
	t.Helper()
	h := e.Process()(leat.HandlerFunc(func(_ context.Context, e leat.Event) error { got = e; return nil }))
	require.NoError(t, h.Handle(t.Context(), event))
	return got
}

// What franz-go's Serde writes, Leat reads, and the other way round.
func TestSerde(t *testing.T) {
	r, _ := fake(t)
	one, err := r.Register(t.Context(), "orders", text(`{"type":"object"}`))
	require.NoError(t, err)
	two, err := r.Register(t.Context(), "orders", text(`{"type":"object","minProperties":1}`))
	require.NoError(t, err)
	e := enforcer(t, r, schema.EnforcerOptions{WritePrefix: true, ReadPrefix: true})
	var serde sr.Serde
	serde.Register(one.ID, map[string]int{}, sr.EncodeFn(func(any) ([]byte, error) { return []byte(`{"a":1}`), nil }),
		sr.DecodeFn(func(b []byte, v any) error {
			(*v.(*map[string]int))[string(b)] = one.ID
			return nil
		}))
	data, err := serde.Encode(map[string]int{})
	require.NoError(t, err)
	got := handled(t, e, event(t, string(data)))
	assert.Equal(t, `{"a":1}`, got.DataString())
	assert.Equal(t, base+"/orders/versions/1", got.DataSchema())

	back := map[string]int{}
	require.NoError(t, serde.Decode(published(t, e, event(t, `{"b":2}`)).Data(), &back))
	assert.Equal(t, map[string]int{`{"b":2}`: one.ID}, back)

	later, err := new(sr.ConfluentHeader).AppendEncode(nil, two.ID, nil)
	require.NoError(t, err)
	got = handled(t, e, event(t, string(later)+`{"a":1}`))
	assert.Equal(t, base+"/orders/versions/2", got.DataSchema())
}

// anyMessage is a language with the wire format of Protobuf.
type anyMessage struct{ jsonschema.Format }

func (anyMessage) Name() string { return "PROTOBUF" }

func TestPlaceOfTheMessage(t *testing.T) {
	r, client := fake(t)
	found, err := client.CreateSchema(t.Context(), "orders", sr.Schema{Type: sr.TypeProtobuf, Schema: `{}`})
	require.NoError(t, err)
	e := enforcer(t, r, schema.EnforcerOptions{Formats: []schema.Format{anyMessage{}}, WritePrefix: true, ReadPrefix: true})
	var h sr.ConfluentHeader
	for name, index := range map[string][]int{"first": {0}, "written out": {0}} {
		data, err := h.AppendEncode(nil, found.ID, index)
		require.NoError(t, err)
		if name == "written out" {
			data = append(data[:5], 2, 0)
		}
		assert.Equal(t, `{"a":1}`, handled(t, e, event(t, string(data)+`{"a":1}`)).DataString(), name)
	}
	id, rest, err := h.DecodeID(published(t, e, event(t, `{"a":1}`)).Data())
	require.NoError(t, err)
	assert.Equal(t, found.ID, id)
	index, rest, err := h.DecodeIndex(rest, 10)
	require.NoError(t, err)
	assert.Equal(t, []int{0}, index)
	assert.Equal(t, `{"a":1}`, string(rest))
}

// The header has the bytes of Confluent's V1. The GUID leads to the version, also where that was
// deleted since.
func TestGUIDs(t *testing.T) {
	r, client := fake(t)
	for _, text := range []string{`{"type":"object"}`, `{"type":"object","minProperties":1}`} {
		_, err := client.CreateSchema(t.Context(), "orders", sr.Schema{Type: sr.TypeJSON, Schema: text})
		require.NoError(t, err)
	}
	e := enforcer(t, r, schema.EnforcerOptions{ReadPrefix: true})
	two, err := r.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 2})
	require.NoError(t, err)
	sent := published(t, e, event(t, `{"a":1}`).WithDataSchema(base+"/orders/versions/2"))
	headers, err := e.WriteHeaders(sent)
	require.NoError(t, err)
	require.Len(t, headers, 1)
	assert.Equal(t, "__value_schema_id", headers[0].Name)
	assert.Equal(t, "01"+strings.ReplaceAll(two.GUID, "-", ""), hex.EncodeToString(headers[0].Value))

	_, err = client.CreateSchema(t.Context(), "aliens", sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object","minProperties":1}`})
	require.NoError(t, err)
	require.NoError(t, client.DeleteSchema(t.Context(), "orders", 2, sr.SoftDelete))
	e = enforcer(t, r, schema.EnforcerOptions{ReadPrefix: true})
	named, err := e.ReadHeaders(event(t, `{"a":1}`), headers)
	require.NoError(t, err)
	assert.Equal(t, base+"/orders/versions/2", handled(t, e, named).DataSchema())
	prefixed, err := new(sr.ConfluentHeader).AppendEncode(nil, two.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, base+"/orders/versions/2", handled(t, e, event(t, string(prefixed)+`{"a":1}`)).DataSchema())
}
