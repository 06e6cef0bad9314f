package avro_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/avro"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Data of Confluent's clients, with the prefix or with the header, is read with the schema of its
// writer.
func TestOldWritersOfConfluent(t *testing.T) {
	v1, v2 := record(id, total), record(id, field("total", `"long"`, ""), field("currency", `"string"`, `,"default":"EUR"`))
	registry, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{avro.Format{}}, Level: schema.Backward})
	require.NoError(t, err)
	one, err := registry.Register(t.Context(), "orders-value", schema.Definition{Format: "AVRO", Text: v1})
	require.NoError(t, err)
	_, err = registry.Register(t.Context(), "orders-value", schema.Definition{Format: "AVRO", Text: v2})
	require.NoError(t, err)
	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: []schema.Format{avro.Format{}}, Base: "https://schemas.example.com/subjects", ReadPrefix: true,
		Pins: map[string]schema.Ref{"order.placed": {Subject: "orders-value", Version: 2}},
	})
	require.NoError(t, err)
	old, err := avro.NewCodec(v1)
	require.NoError(t, err)
	data, err := old.Encode(order{"o-1", 7})
	require.NoError(t, err)
	plain, err := leat.NewEvent("order.placed", &leat.EventOptions{Source: "/orders"})
	require.NoError(t, err)
	prefixed := plain.WithData("", append(binary.BigEndian.AppendUint32([]byte{0}, uint32(one.ID)), data...))
	guid, err := hex.DecodeString("01" + strings.ReplaceAll(one.GUID, "-", ""))
	require.NoError(t, err)
	headed, err := enforcer.ReadHeaders(plain.WithData("", data), []leat.Header{{Name: "__value_schema_id", Value: guid}})
	require.NoError(t, err)

	current, err := avro.NewCodec(v2)
	require.NoError(t, err)
	for _, e := range []leat.Event{prefixed, headed} {
		var got map[string]any
		require.NoError(t, enforcer.Process()(leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			assert.Equal(t, "https://schemas.example.com/subjects/orders-value/versions/2", e.DataSchema())
			return current.Decode(e.DataContentType(), e.Data(), &got)
		})).Handle(t.Context(), e))
		assert.Equal(t, map[string]any{"id": "o-1", "total": int64(7), "currency": "EUR"}, got)
	}
}
