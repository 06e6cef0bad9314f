package kafka_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestLagOfManyPartitionsTakesAHandfulOfRequests: the number of requests goes with the brokers that
// lead partitions, not with the partitions.
func TestLagOfManyPartitionsTakesAHandfulOfRequests(t *testing.T) {
	const brokers, partitions = 3, 1_000
	f := newFake(t, kfake.NumBrokers(brokers), kfake.SeedTopics(partitions, "orders"))
	b := open(t, quick(f.ListenAddrs()...))
	lag, err := b.Lag(t.Context(), "orders", "billing") // connects to each broker
	require.NoError(t, err)
	require.Len(t, lag.Parts, partitions)

	var requests atomic.Int64
	f.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		requests.Add(1)
		return nil, nil, false //nolint:nilnil // kfake answers itself
	})
	require.NoError(t, publishOne(b, "orders", event("1", "a"), 10*time.Second))
	requests.Store(0)
	lag, err = b.Lag(t.Context(), "orders", "billing")
	require.NoError(t, err)
	assert.EqualValues(t, leat.LagUnknown, lag.Oldest)
	assert.EqualValues(t, 1, lag.Events)
	assert.LessOrEqual(t, requests.Load(), int64(4+2*brokers))
}
