package rabbitmq

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/require"
)

// TestDecodeIsTheInverseOfEncode holds for any event, in both modes, also where its attributes do
// not fit into a frame: transport changes nothing.
func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	t.Parallel()
	err := eventgen.Batches(10_000, 64, func(g eventgen.Generator, events []leat.Event, where string) {
		checkRoundTrip(t, events, g.IntN(5)*1000, where)
	})
	require.NoError(t, err)
}

// checkRoundTrip encodes the events one after the other, in both modes, and decodes them again.
func checkRoundTrip(t testing.TB, events []leat.Event, frameBytes int, where string) {
	t.Helper()
	for _, structured := range []bool{false, true} {
		n := encoder{structured: structured, frameBytes: frameBytes}
		var c decoder
		for i, e := range events {
			p, err := n.encode(e, nil)
			require.NoError(t, err, where)
			m := delivered(p)
			var d leat.Delivery
			c.decode(m, &d)
			if d.Malformed != nil {
				t.Fatalf("%s, event %d, structured %v: %v", where, i, structured, d.Malformed.Reason)
			}
			if !d.Event.Equal(e) || d.Event.Size() != e.Size() {
				t.Fatalf("%s, event %d, structured %v: not the same:\n%v\n%v", where, i, structured, d.Event, e)
			}
			if size := sizeOf(m); size < e.Size() {
				t.Fatalf("%s, event %d, structured %v: counts as %d bytes and has %d", where, i, structured, size, e.Size())
			}
		}
	}
}
