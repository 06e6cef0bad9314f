package kafka

import (
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDecodeIsTheInverseOfEncode holds for any event, alone and in a batch, in both modes: transport changes nothing.
func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	t.Parallel()
	const total, most = 10_000, 64
	for seed, done := uint64(0), 0; done < total; seed++ {
		g := eventgen.New(seed)
		events := make([]leat.Event, 1+g.IntN(most))
		for i := range events {
			e, err := g.Event()
			require.NoError(t, err, "seed %d, event %d", seed, i)
			events[i] = e
		}
		checkRoundTrip(t, events, g.IntN(2) == 0, fmt.Sprintf("seed %d", seed))
		done += len(events)
	}
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
