package memory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMapping: it gets what DeliverRaw stores as an adapter's gets what it cannot read.
func TestMapping(t *testing.T) {
	var got []foreign.Message
	refused := errors.New("not a plain one")
	o := &memory.Options{Mapping: func(m foreign.Message) (leat.Event, error) {
		got = append(got, m)
		return foreign.Plain(&foreign.PlainOptions{Type: "mapped"})(m)
	}}
	bubble(t, o, func(t *testing.T, b *memory.Broker) {
		require.NoError(t, leat.Declare(t.Context(), b, billing))
		raw := leat.Malformed{
			Headers: []leat.Header{{Name: "Content-Type", Value: []byte("text/plain")}}, Key: []byte("k"), Body: []byte("x"),
		}
		require.NoError(t, b.DeliverRaw("orders", raw))
		raw.Reason = refused
		require.NoError(t, b.DeliverRaw("orders", raw))
		s, err := b.Subscribe(t.Context(), billing)
		require.NoError(t, err)
		into := []leat.Delivery{{Key: "of before"}, {Key: "of before"}}
		n, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		d := into[0]
		require.Nil(t, d.Malformed)
		assert.Equal(t, []string{"orders/0/0", "mapped", "k", "", "x"},
			[]string{d.Event.ID(), d.Event.Type(), d.Key, d.Event.Key(), d.Event.DataString()})
		d = into[1]
		assert.True(t, d.Event.IsZero())
		assert.Empty(t, d.Key, "a malformed one has it in Malformed")
		require.NotNil(t, d.Malformed)
		require.ErrorIs(t, d.Malformed.Reason, refused)
		assert.Equal(t, "k x", string(d.Malformed.Key)+" "+string(d.Malformed.Body))
		require.Len(t, got, 2)
		require.ErrorIs(t, got[0].Err, foreign.ErrPlain)
		assert.Equal(t, []any{"orders", "text/plain", int64(0), time.Now()},
			[]any{got[0].Topic, got[0].ContentType, got[0].Position.Offset, got[0].Time})
	})
}

// TestMappingBesidePublishes: a publish while the Mapping runs takes the place, and the message
// gets the next, with its id. The Mapping is not called under a lock: it may use the broker.
func TestMappingBesidePublishes(t *testing.T) {
	var b *memory.Broker
	calls := 0
	b = memory.New(&memory.Options{Mapping: func(m foreign.Message) (leat.Event, error) {
		if calls++; calls == 1 {
			require.NoError(t, outcomes(t.Context(), t, b, "orders", event(t, "between", "", 1))[0])
		}
		return foreign.Plain(nil)(m)
	}})
	require.NoError(t, leat.Declare(t.Context(), b, billing))
	require.NoError(t, b.DeliverRaw("orders", leat.Malformed{Body: []byte("x")}))
	assert.Equal(t, 2, calls)
	s, err := b.Subscribe(t.Context(), billing)
	require.NoError(t, err)
	into := make([]leat.Delivery, 2)
	n, err := s.Receive(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	assert.Equal(t, []string{"between", "orders/0/1"}, []string{into[0].Event.ID(), into[1].Event.ID()})
	assert.EqualValues(t, 1, into[1].Position.Offset)
	require.NoError(t, b.Close())
}
