package kafka_test

import (
	"cmp"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/foreigncases"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestForeignProducers reads what other producers write from a Kafka, without a mapping and with
// Lenient.
func TestForeignProducers(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	var cases []foreigncases.Case
	var records []*kgo.Record
	for _, c := range foreigncases.All(t) {
		if c.Transport != foreigncases.Kafka {
			continue
		}
		r := &kgo.Record{Topic: topic, Key: c.Key, Value: c.Body}
		for _, h := range c.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		cases, records = append(cases, c), append(records, r)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())

	read := func(query string) []leat.Delivery {
		b := liveOpen(t, "kafka://"+addrs[0]+query)
		return liveHold(t, liveSubscribe(t, b, leat.Subscription{Topic: topic, Group: liveName(t)}), len(cases))
	}
	without, with := read(""), read("?mapping=lenient")
	for i, c := range cases {
		checkForeign(t, c, without[i], with[i])
	}
}

// checkForeign checks what came of one case: that is what the page about foreign events says.
func checkForeign(t *testing.T, c foreigncases.Case, without, with leat.Delivery) {
	t.Helper()
	assert.Equal(t, c.Want == foreigncases.Reads, without.Malformed == nil, "%s: without a mapping", c)
	assert.Equal(t, c.Want == foreigncases.Refuses, with.Malformed != nil, "%s: with Lenient", c)
	if without.Malformed == nil || with.Malformed != nil {
		assert.True(t, without.Event.Equal(with.Event), "%s: Lenient changes nothing that is in order", c)
		return
	}
	_, repaired := with.Event.Extension("leatrepaired")
	assert.True(t, repaired, "%s: leatrepaired is missing", c)
	assert.Equal(t, string(c.Key), string(without.Malformed.Key), c)
	assert.Equal(t, string(c.Key), cmp.Or(with.Event.Key(), with.Key), c)
	assert.Equal(t, string(c.Body), string(without.Malformed.Body), c)
}
