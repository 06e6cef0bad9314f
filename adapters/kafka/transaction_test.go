package kafka_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transaction is one transaction of a producer.
type transaction struct {
	first, last int // the ids of its events are first to last-1
	commit      bool
}

// transact produces transactions.
func transact(t *testing.T, topic string, all []transaction, addrs ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DisableClientMetrics(), kgo.TransactionalID(topic),
		kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	defer client.Close()
	for _, tx := range all {
		require.NoError(t, client.BeginTransaction())
		for _, e := range liveEvents(t, tx.first, tx.last, 1) {
			r, err := kafka.EncodeRecord(e)
			require.NoError(t, err)
			require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
		}
		require.NoError(t, client.EndTransaction(t.Context(), kgo.TransactionEndTry(tx.commit)))
	}
}

// TestTransactions reads what transactions leave: the group's offset passes their markers and what
// was aborted, so that it is behind by nothing when everything is handled, and when retention takes
// them away, nothing is reported lost.
func TestTransactions(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	for name, all := range map[string][]transaction{
		"committed": {{0, 3, true}, {3, 5, true}}, "aborted": {{0, 3, false}}, "aborted last": {{0, 3, true}, {3, 300, false}},
		"aborted first": {{0, 3, false}, {3, 6, true}}, "many": {{0, 1, true}, {1, 2, false}, {2, 3, true}, {3, 4, false}, {4, 5, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := liveTopic(t, admin, 1)
			transact(t, topic, all, addrs...)
			var want []string
			for _, tx := range all {
				for i := tx.first; i < tx.last && tx.commit; i++ {
					want = append(want, fmt.Sprint(i))
				}
			}
			b := liveBroker(t, liveOptions(addrs...))
			sub := leat.Subscription{Topic: topic, Group: topic}
			s, err := b.Subscribe(t.Context(), sub)
			require.NoError(t, err)
			r := read(s)
			require.NoError(t, r.until(livePatience, want...))
			require.NoError(t, await(livePatience, func() error { return caughtUp(t.Context(), b, topic) }))
			r.stop()
			assert.Equal(t, want, r.ids)
			assert.NoError(t, health(s))
			require.NoError(t, s.Close(context.Background()))

			ends, err := admin.ListEndOffsets(t.Context(), topic)
			require.NoError(t, err)
			var gone kadm.Offsets
			gone.AddOffset(topic, 0, ends[topic][0].Offset, -1)
			_, err = admin.DeleteRecords(t.Context(), gone)
			require.NoError(t, err)
			require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 1000, 1001, 1)...))
			again := liveSubscribe(t, b, sub)
			assert.Equal(t, []string{"1000"}, liveReceive(t, again, 1))
			assert.NoError(t, health(again), "nothing is lost")
		})
	}
}

// TestTransactionsWithUnfinishedEvents gives an event between two markers back, and holds another:
// the offset stays below what is not finished.
func TestTransactionsWithUnfinishedEvents(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	transact(t, topic, []transaction{{0, 1, true}, {1, 2, true}, {2, 3, false}, {3, 4, true}}, addrs...) // 0 m 1 m 2 m 3 m
	b := liveBroker(t, liveOptions(addrs...))
	s := liveSubscribe(t, b, leat.Subscription{Topic: topic, Group: topic})
	held := liveHold(t, s, 3)
	s.Settle(&held[0], leat.Settlement{Action: leat.Ack})
	s.Settle(&held[2], leat.Settlement{Action: leat.Ack})
	liveCommitted(t, b, topic, topic, 2)
	s.Settle(&held[1], leat.Settlement{Action: leat.GiveBack})
	r := read(s) // as Run does: the last marker comes behind the last event
	defer r.stop()
	require.NoError(t, r.until(livePatience, "1"))
	liveCommitted(t, b, topic, topic, 8)
	assert.Equal(t, []string{"1"}, r.ids)
}
