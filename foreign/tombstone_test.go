package foreign_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTombstones are Kafka records with a key and a null value.
func TestTombstones(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("", 3600))
	m := foreign.Message{Topic: "shop orders", Position: leat.Position{Partition: 2, Offset: 7}, Time: at,
		Key: []byte(`{"pk":1}`), Err: foreign.ErrPlain}
	e, err := foreign.Lenient(nil)(m)
	require.NoError(t, err)
	assert.Equal(t, "leat.tombstone.v1", e.Type())
	assert.Equal(t, "2/7", e.ID())
	assert.Equal(t, "/shop%20orders", e.Source())
	assert.Equal(t, "2026-01-02T02:04:05.006Z", e.TimeString())
	assert.Equal(t, `{"pk":1}`, e.Key())
	assert.False(t, e.HasData())
	assert.Equal(t, "message: a tombstone: a key without a value", leatRepaired(e))

	m.Key, m.ID = []byte("\x00\x01"), "shop orders/2/7"
	e, err = foreign.Lenient(&foreign.LenientOptions{Tombstone: "com.example.deleted"})(m)
	require.NoError(t, err)
	assert.Equal(t, "com.example.deleted", e.Type())
	assert.Equal(t, "shop orders/2/7", e.ID())
	assert.Empty(t, e.Key())
	assert.Equal(t, "message: a tombstone: a key without a value; "+
		`partitionkey: left out, as the key is not a text (was "\x00\x01")`, leatRepaired(e))

	for name, change := range map[string]func(m *foreign.Message){
		"no key":         func(m *foreign.Message) { m.Key = nil },
		"an empty value": func(m *foreign.Message) { m.Body = []byte{} },
		"an attribute":   func(m *foreign.Message) { m.Headers = []leat.Header{{Name: "ce_id", Value: []byte("1")}} },
		"RabbitMQ":       func(m *foreign.Message) { m.Properties = map[string]string{} },
		"a claim":        func(m *foreign.Message) { m.Err = errRefused },
	} {
		not := m
		change(&not)
		_, err := foreign.Lenient(nil)(not)
		assert.ErrorIs(t, err, not.Err, name)
	}
}
