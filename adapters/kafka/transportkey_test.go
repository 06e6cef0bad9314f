package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// keyOrder sees in which order the events of each key are handled.
type keyOrder struct {
	mu                   sync.Mutex
	running              map[string]bool
	last                 map[string]int
	done                 map[string]bool
	failed               map[string]bool
	inversions, overlaps int
	keys                 map[string]bool
}

// handle handles an event of the transport's key, and fails the first attempt at every third.
func (o *keyOrder) handle(ctx context.Context, e leat.Event) error {
	info, _ := leat.InfoFrom(ctx)
	var key string
	var n int
	_, err := fmt.Sscanf(e.ID(), "key-%1s-%d", &key, &n)
	if err != nil {
		return leat.Reject(err)
	}
	o.mu.Lock()
	if o.running[key] {
		o.overlaps++
	}
	o.running[key], o.keys[info.Key] = true, true
	o.mu.Unlock()
	select {
	case <-time.After(time.Duration(n%4) * time.Millisecond):
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running[key] = false
	if n%3 == 0 && !o.failed[e.ID()] {
		o.failed[e.ID()] = true
		return errors.New("the first attempt fails")
	}
	if n < o.last[key] && !o.done[e.ID()] { // one that was done may come again after the restart
		o.inversions++
	}
	o.last[key], o.done[e.ID()] = max(o.last[key], n), true
	return nil
}

func (o *keyOrder) handled() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.done)
}

// TestOrderByRecordKey: most producers set the record's key and no ce_partitionkey. Their order is
// kept as well, with many handlers, with retries and over a restart in the middle.
func TestOrderByRecordKey(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	topic := liveTopic(t, admin, 2)
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer raw.Close()
	const count, keys = 600, 10
	records := make([]*kgo.Record, count)
	for i := range records {
		key := fmt.Sprint("key-", i%keys)
		records[i] = &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte("{}"), Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_type", Value: []byte("t")}, {Key: "ce_source", Value: []byte("/java")},
			{Key: "ce_id", Value: fmt.Appendf(nil, "%s-%d", key, i)}, {Key: "content-type", Value: []byte("application/json")},
		}}
	}
	require.NoError(t, raw.ProduceSync(t.Context(), records...).FirstErr())

	o := &keyOrder{
		running: map[string]bool{}, last: map[string]int{}, done: map[string]bool{}, failed: map[string]bool{}, keys: map[string]bool{},
	}
	for _, until := range []int{count / 2, count} {
		ctx, stop := context.WithCancel(t.Context())
		c := leat.NewConsumer(liveBroker(t, liveOptions(addrs...)), leat.Subscription{Topic: topic, Group: topic}, leat.HandlerFunc(o.handle),
			&leat.ConsumerOptions{Concurrency: 64, Middleware: []leat.Middleware{
				middleware.Retry(&middleware.RetryOptions{InitialDelay: 5 * time.Millisecond, MaxDelay: 20 * time.Millisecond}),
			}})
		ended := make(chan error, 1)
		go func() { ended <- leat.Run(ctx, c) }()
		assert.Eventually(t, func() bool { return o.handled() >= until }, livePatience, time.Millisecond)
		stop()
		require.NoError(t, <-ended)
	}
	assert.Equal(t, count, o.handled())
	assert.Zero(t, o.inversions, "inversions")
	assert.Zero(t, o.overlaps, "overlaps")
	var seen []string
	for key := range o.keys {
		seen = append(seen, key)
	}
	slices.Sort(seen)
	assert.Equal(t, []string{"key-0", "key-1", "key-2", "key-3", "key-4", "key-5", "key-6", "key-7", "key-8", "key-9"}, seen, "Info.Key")
}
