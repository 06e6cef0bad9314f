package kafka_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// slowMove holds up a stream while it goes over to a new topic.
type slowMove struct {
	slog.Handler

	t *testing.T
}

func (h slowMove) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "created again; consuming") {
		pause(h.t, 2*time.Second)
	}
	return nil
}

// TestBroadcastLooksForPartitionsWhileItMoves: a broadcast that looks for new partitions just while
// it goes over from a deleted topic to the one in its place reads that one.
func TestBroadcastLooksForPartitionsWhileItMoves(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	topic := liveTopic(t, admin, 2)
	o := liveOptions(addrs...)
	o.Logger = slog.New(slowMove{slog.NewTextHandler(&brokertest.Logbook{}, nil), t})
	o.Client = append(o.Client, kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	b := liveBroker(t, o)
	r := read(liveSubscribe(t, b, leat.Subscription{Topic: topic, Broadcast: true}))
	defer r.stop()
	old := liveEvents(t, 0, 10, 10)
	require.NoError(t, livePublish(t.Context(), b, topic, old...))
	require.NoError(t, untilAll(livePatience, []*reader{r}, eventIDs(old)...))
	recreate(t, admin, topic, 2, 0)
	fresh := liveEvents(t, 10, 30, 10)
	for _, e := range fresh {
		require.NoError(t, await(10*time.Second, func() error { return livePublish(t.Context(), b, topic, e) }))
	}
	require.NoError(t, untilAll(12*time.Second, []*reader{r}, eventIDs(fresh)...))
}

func eventIDs(events []leat.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.ID())
	}
	return ids
}
