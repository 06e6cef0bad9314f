package googlecloud_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill/googlecloud"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDeletedSubscription: when Pub/Sub refuses to deliver more, the lease of what is held is lost,
// and the stream subscribes again.
func TestDeletedSubscription(t *testing.T) {
	addr := brokertest.PubSub(t)
	b := open(t, addr, googlecloud.Options{})
	sub := group("deleted")
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(within(t), sub.Topic, event(t, &leat.EventOptions{ID: "1", Source: "/s"})))
	first := brokertest.Hold(t, stream, 1)[0]
	name := subscriptionPath(sub.Topic + "_g")
	require.NoError(t, plain(t, addr).SubscriptionAdminClient.DeleteSubscription(within(t),
		&pubsubpb.DeleteSubscriptionRequest{Subscription: name}))
	require.Eventually(t, first.Lease.Ended, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := plain(t, addr).SubscriptionAdminClient.GetSubscription(within(t), &pubsubpb.GetSubscriptionRequest{Subscription: name})
		return err == nil
	}, patience, 100*time.Millisecond, "it is created again")
	require.NoError(t, p.Publish(within(t), sub.Topic, event(t, &leat.EventOptions{ID: "2", Source: "/s"})))
	second := brokertest.Hold(t, stream, 1)[0]
	assert.Equal(t, "2", second.Event.ID())
	stream.Settle(&second, leat.Settlement{Action: leat.Ack})
	require.NoError(t, stream.(leat.HealthReporter).Health())
}

// TestCutConnections: over cut connections nothing is lost.
func TestCutConnections(t *testing.T) {
	proxy, err := eventtest.StartProxy(brokertest.PubSub(t))
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	b := open(t, proxy.Addr(), googlecloud.Options{Configure: func(_ *wmgoogle.PublisherConfig, s *wmgoogle.SubscriberConfig) {
		s.ReceiveSettings.MaxDurationPerAckExtension = 10 * time.Second // what was on its way comes again after that
	}})
	sub := group("cut")
	require.NoError(t, leat.Declare(within(t), b, sub))
	const events, cuts = 300, 2
	seen, all := map[string]bool{}, make(chan struct{})
	ctx, stop := context.WithCancel(within(t))
	consumer := leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		seen[e.ID()] = true
		if len(seen) == events {
			stop()
		}
		return nil
	}), &leat.ConsumerOptions{Concurrency: 1})
	go func() {
		defer close(all)
		assert.NoError(t, leat.Run(ctx, consumer))
	}()
	p := leat.NewProducer(b, nil)
	for i := range events {
		if i%(events/cuts) == events/cuts/2 {
			proxy.Cut()
		}
		e := event(t, &leat.EventOptions{ID: strconv.Itoa(i), Source: "/s", Key: strconv.Itoa(i % 10)})
		for {
			err := p.Publish(within(t), sub.Topic, e)
			if err == nil {
				break
			}
			require.Equal(t, leat.CodeUnknown, leat.CodeOf(err), "%v", err)
		}
	}
	<-all
	assert.Len(t, seen, events)
}

// TestCloseInAnOutage: Close returns at its CloseTimeout while the server does not answer, and a
// publish without an answer is of unknown outcome.
func TestCloseInAnOutage(t *testing.T) {
	proxy, err := eventtest.StartProxy(brokertest.PubSub(t))
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	b, err := googlecloud.New(&googlecloud.Options{
		Project: project, ClientOptions: to(proxy.Addr()), CloseTimeout: time.Second, DeliveryTimeout: 4 * time.Second,
	})
	require.NoError(t, err)
	sub := group("outage")
	require.NoError(t, leat.Declare(within(t), b, sub))
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	proxy.Freeze()
	outcome := make(chan error, 1)
	b.Publish(context.Background(), sub.Topic, []leat.Event{event(t, &leat.EventOptions{Source: "/s"})},
		func(_ int, err error) { outcome <- err })
	begun := time.Now()
	err = b.Close()
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
	assert.Less(t, time.Since(begun), 4*time.Second)
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(<-outcome))
	proxy.Cut()
	assert.Error(t, func() error { _, err := stream.Receive(within(t), make([]leat.Delivery, 1)); return err }())
}
