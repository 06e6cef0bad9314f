package protobuf_test

import (
	"context"
	"slices"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Behind the prefix of Confluent's clients is the place of the message.
func TestPrefix(t *testing.T) {
	registry, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{protobuf.Format{}}})
	require.NoError(t, err)
	one, err := registry.Register(t.Context(), "created-value", schema.Definition{Format: "PROTOBUF", Text: `syntax = "proto3";
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Other { string text = 1; }
`})
	require.NoError(t, err)
	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: []schema.Format{protobuf.Format{}}, Base: "https://schemas.example.com/subjects", WritePrefix: true, ReadPrefix: true,
		Pins: map[string]schema.Ref{"created": one.Ref},
	})
	require.NoError(t, err)
	created := leat.EventType[*timestamppb.Timestamp]{Name: "created", Topic: "t", Source: "/test", Codec: protobuf.Codec{}}
	e, err := created.New(&timestamppb.Timestamp{Seconds: 5})
	require.NoError(t, err)
	var sent leat.Event
	enforcer.Publish()(func(_ context.Context, _ string, events []leat.Event, done func(i int, err error)) {
		sent = events[0]
		done(0, nil)
	})(t.Context(), "t", []leat.Event{e}, func(_ int, err error) { require.NoError(t, err) })
	assert.Equal(t, []byte{0, byte(one.ID >> 24), byte(one.ID >> 16), byte(one.ID >> 8), byte(one.ID), 0, 8, 5}, sent.Data())
	var got leat.Event
	handle := enforcer.Process()(leat.HandlerFunc(func(_ context.Context, e leat.Event) error { got = e; return nil }))
	require.NoError(t, handle.Handle(t.Context(), sent))
	assert.Equal(t, e.Data(), got.Data())

	other := slices.Concat(sent.Data()[:5], []byte{2, 2, 8, 5}) // the second message of the file
	err = handle.Handle(t.Context(), sent.WithData("", other))
	assert.True(t, leat.IsRejected(err))
	require.ErrorContains(t, err, "the message is not the first one of its schema")
}
