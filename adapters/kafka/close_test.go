package kafka_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/goroutines"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// endedClients counts the native clients that have closed.
type endedClients struct{ n atomic.Int32 }

func (e *endedClients) OnClientClosed(*kgo.Client) { e.n.Add(1) }

// TestCloseOfAStreamEndsInTime: a stream whose cluster does not answer any more closes when its ctx
// ends. The Broker's Close then waits for what is left of it, and leaves nothing behind.
func TestCloseOfAStreamEndsInTime(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	const limit = 250 * time.Millisecond
	for name, lose := range map[string]func(p *eventtest.Proxy){
		"no answers":     func(p *eventtest.Proxy) { p.Freeze() },
		"no connections": func(p *eventtest.Proxy) { p.Refuse(); p.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			topic, p := liveTopic(t, admin, 2), newProxy(t)
			before := goroutines.Now()
			o, ended := liveOptions(addrs...), &endedClients{}
			o.CommitInterval, o.Client = time.Hour, []kgo.Opt{kgo.WithHooks(ended)}
			b, err := kafka.NewDialing(&o, p.Dial)
			require.NoError(t, err)
			defer func() { _ = b.Close() }()
			s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Group: liveName(t)})
			require.NoError(t, err)
			require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 10, 10)...))
			liveReceive(t, s, 10)
			lose(p)

			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			err = s.Close(ctx)
			assert.Less(t, time.Since(began), limit+250*time.Millisecond, "Close of the stream")
			require.Error(t, err, "what was finished cannot have been committed")
			began = time.Now()
			require.NoError(t, b.Close())
			assert.Less(t, time.Since(began), o.CloseTimeout+250*time.Millisecond, "Close of the broker")
			assert.EqualValues(t, 2, ended.n.Load(), "clients that the Broker's Close has awaited")
			assert.Empty(t, before.Since("leat/adapters/kafka.", "franz-go"))
		})
	}
}
