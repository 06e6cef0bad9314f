package kafka

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDecodeIsTheInverseOfEncode holds for any event, alone and in a batch, in both modes:
// transport changes nothing.
func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	t.Parallel()
	err := eventgen.Batches(10_000, 64, func(g eventgen.Generator, events []leat.Event, where string) {
		checkRoundTrip(t, events, g.IntN(2) == 0, where)
	})
	require.NoError(t, err)
}

// checkRoundTrip encodes the events in one batch, in both modes, and decodes them again.
func checkRoundTrip(t testing.TB, events []leat.Event, keyed bool, where string) {
	t.Helper()
	for _, structured := range []bool{false, true} {
		n := newEncoder(events, structured, keyed)
		records := make([]kgo.Record, len(events))
		for i, e := range events {
			require.NoError(t, n.encode(&records[i], e), where)
		}
		var c decoder
		for i, e := range events {
			var d leat.Delivery
			c.decode(&records[i], &d)
			if d.Malformed != nil {
				t.Fatalf("%s, event %d, structured %v: %v", where, i, structured, d.Malformed.Reason)
			}
			if !d.Event.Equal(e) || d.Event.Size() != e.Size() {
				t.Fatalf("%s, event %d, structured %v: not the same:\n%v\n%v", where, i, structured, d.Event, e)
			}
			if key := records[i].Key; keyed && string(key) != e.Key() || !keyed && key != nil || key != nil && len(key) == 0 {
				t.Fatalf("%s, event %d: the record's key is %q and the event's %q", where, i, key, e.Key())
			}
			if size := sizeOf(&records[i]); size < e.Size() {
				t.Fatalf("%s, event %d, structured %v: counts as %d bytes and has %d", where, i, structured, size, e.Size())
			}
		}
	}
}
