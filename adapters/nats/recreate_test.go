package nats_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// viaProxy returns a broker with a proxy before it.
func viaProxy(t *testing.T, o nats.Options) (*nats.Broker, *eventtest.Proxy) {
	t.Helper()
	p, err := eventtest.StartProxy(brokertest.NATS(t)[0])
	require.NoError(t, err)
	t.Cleanup(p.Close)
	o.Hosts = []string{p.Addr()}
	return live(t, o), p
}

// createAgain deletes the stream of a topic and lets b create it again, with a group's consumer.
func createAgain(t *testing.T, js jetstream.JetStream, b leat.Broker, sub leat.Subscription) {
	t.Helper()
	require.NoError(t, js.DeleteStream(t.Context(), serverName(sub.Topic)))
	require.NoError(t, leat.Declare(t.Context(), b, sub))
}

func pending(t *testing.T, js jetstream.JetStream, sub leat.Subscription) int {
	t.Helper()
	c, err := js.Consumer(t.Context(), serverName(sub.Topic), serverName(sub.Group))
	require.NoError(t, err)
	return c.CachedInfo().NumAckPending
}

func ack(s leat.Stream, all []leat.Delivery) {
	for i := range all {
		s.Settle(&all[i], leat.Settlement{Action: leat.Ack})
	}
}

// TestBroadcastOfTopicCreatedAgain: its sequences begin with 1 again.
func TestBroadcastOfTopicCreatedAgain(t *testing.T) {
	t.Parallel()
	b, js := live(t, nats.Options{}), raw(t)
	sub := leat.Subscription{Topic: brokertest.Name(t), Broadcast: true}
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 0, 3, 1)...))
	assert.Equal(t, []string{"0", "1", "2"}, brokertest.Receive(t, s, 3))
	createAgain(t, js, b, sub)
	require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 3, 5, 1)...))
	assert.Equal(t, []string{"3", "4"}, brokertest.Receive(t, s, 2))
}

// TestTopicCreatedAgain: acks of the old topic's events do not finish those of the new one, and the
// stream goes on with these. The stream is full, so that no request tells it of the deletion.
func TestTopicCreatedAgain(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("unordered=%t,cut=%t", unordered, cut), func(t *testing.T) {
				t.Parallel()
				js, o := raw(t), nats.Options{AckWait: 5 * time.Second, PinnedTTL: 2 * time.Second}
				b := live(t, o)
				old, proxy := viaProxy(t, o)
				sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", Unordered: unordered, MaxInFlight: 3}
				s, err := old.Subscribe(t.Context(), sub)
				require.NoError(t, err)
				p := leat.NewProducer(b, nil)
				require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 0, 3, 1)...))
				held := brokertest.Hold(t, s, 3)
				if cut {
					proxy.Refuse()
					proxy.Cut()
				}
				createAgain(t, js, b, sub)
				another, err := b.Subscribe(t.Context(), sub)
				require.NoError(t, err)
				require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 3, 6, 1)...))
				fresh := brokertest.Hold(t, another, 3)
				require.Equal(t, 3, pending(t, js, sub))
				ack(s, held)
				proxy.Admit()
				for i := range held {
					eventually(t, "the leases of the old ones end", held[i].Lease.Ended)
				}
				assert.Equal(t, 3, pending(t, js, sub), "the acks of the old ones count for nothing")
				ack(another, fresh)
				require.NoError(t, another.Close(t.Context()))
				require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 6, 9, 1)...))
				assert.Equal(t, []string{"6", "7", "8"}, brokertest.Receive(t, s, 3))
				eventually(t, "acks of the new ones count", func() bool { return pending(t, js, sub) == 0 })
				assert.NoError(t, s.(leat.HealthReporter).Health())
			})
		}
	}
}

// TestConsumerCreatedAgainWithLess: a stream does not go on with a consumer whose leases are
// shorter than it knows, and says so.
func TestConsumerCreatedAgainWithLess(t *testing.T) {
	t.Parallel()
	b, js := live(t, nats.Options{AckWait: 5 * time.Second}), raw(t)
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", Unordered: true}
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	require.NoError(t, js.DeleteConsumer(t.Context(), serverName(sub.Topic), "g"))
	_, err = js.CreateConsumer(t.Context(), serverName(sub.Topic), jetstream.ConsumerConfig{
		Durable: "g", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
	})
	require.NoError(t, err)
	health := func() error { return s.(leat.HealthReporter).Health() }
	eventually(t, "health says it", func() bool { return leat.CodeOf(health()) == leat.CodeUnsupported })
	assert.ErrorContains(t, health(), "restart this process")
}

// TestDeliveryLostOnTheWay: a message that is lost while the connection lasts is not overtaken.
func TestDeliveryLostOnTheWay(t *testing.T) {
	t.Parallel()
	o := nats.Options{AckWait: 2 * time.Second, PinnedTTL: 2 * time.Second}
	b, proxy := viaProxy(t, o)
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	p := leat.NewProducer(live(t, o), nil)
	require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 0, 1, 1)...))
	require.Equal(t, []string{"0"}, brokertest.Receive(t, s, 1))
	lost := make(chan struct{})
	proxy.Filter(func(d eventtest.Direction, bytes []byte) ([]byte, error) {
		select {
		case <-lost:
		default:
			if d == eventtest.ToClient && strings.Contains(string(bytes), " $JS.ACK.") {
				close(lost)
				return nil, nil
			}
		}
		return bytes, nil
	})
	require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 1, 2, 1)...))
	<-lost
	require.NoError(t, p.Publish(t.Context(), sub.Topic, brokertest.Events(t, 2, 5, 1)...))
	assert.Equal(t, []string{"1", "2", "3", "4"}, brokertest.Receive(t, s, 4))
}

// TestBarrierIsBounded: what waits behind the barrier is no more than MaxInFlightBytes, and one
// message, and all comes in order.
func TestBarrierIsBounded(t *testing.T) {
	t.Parallel()
	const left, later, size, most = 24, 8, 16 << 10, 128 << 10
	o := nats.Options{AckWait: 2 * time.Second, PinnedTTL: time.Second}
	b, js := live(t, o), raw(t)
	dying, proxy := viaProxy(t, o)
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", MaxInFlight: left + later}
	first, err := dying.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	publish := func(from, to int) {
		for _, e := range brokertest.Events(t, from, to, 1) {
			require.NoError(t, p.Publish(t.Context(), sub.Topic, e.WithData("", make([]byte, size))))
		}
	}
	publish(0, left)
	brokertest.Hold(t, first, left)
	sub.MaxInFlightBytes = most
	second, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	proxy.Refuse()
	proxy.Reset()
	publish(left, left+later)
	ctx, cancel := context.WithCancel(t.Context())
	peak := make(chan int, 1)
	go func() {
		bytes := 0
		for ctx.Err() == nil {
			bytes = max(bytes, nats.HeldBytes(second))
			select {
			case <-time.After(100 * time.Microsecond):
			case <-ctx.Done():
			}
		}
		peak <- bytes
	}()
	var got, want []string
	for i := range left + later {
		got, want = append(got, brokertest.Receive(t, second, 1)...), append(want, fmt.Sprint(i))
	}
	cancel()
	assert.Equal(t, want, got)
	bytes := <-peak
	assert.LessOrEqual(t, bytes, most+2*size, "held at a time")
	assert.Greater(t, bytes, most/2, "the messages are as large as this test thinks")
	eventually(t, "all are settled", func() bool { return pending(t, js, sub) == 0 })
}
