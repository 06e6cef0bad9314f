package awssnssqs_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// servers are those that restarts are tried on.
func servers(t *testing.T) map[string]string {
	t.Helper()
	stub := awsstub.Start()
	t.Cleanup(stub.Close)
	return map[string]string{"stub": stub.URL(), "ElasticMQ": brokertest.ElasticMQ(t)}
}

// TestDeliveriesOfRestarts: a clean restart adds one delivery to what it held, and none to the
// rest.
func TestDeliveriesOfRestarts(t *testing.T) {
	t.Parallel()
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const keys, each = 10, 3
			b := live(t, url)
			sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", MaxInFlight: keys}
			require.NoError(t, b.Declare(t.Context(), sub))
			events := brokertest.Events(t, 0, keys*each, keys)
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, events...))
			open := func() leat.Stream {
				s, err := b.Subscribe(t.Context(), sub)
				require.NoError(t, err)
				return s
			}
			deliveries := map[string]int{}
			for range rounds(5, 20) {
				s := open()
				for _, d := range brokertest.Hold(t, s, sub.MaxInFlight) { // there is room for no more, so that all it holds is here
					deliveries[d.Event.ID()]++
				}
				require.NoError(t, s.Close(t.Context()))
			}
			s := open()
			for range events {
				d := brokertest.Hold(t, s, 1)[0]
				require.Equal(t, deliveries[d.Event.ID()]+1, d.Deliveries, "of event %s", d.Event.ID())
				s.Settle(&d, leat.Settlement{Action: leat.Ack})
			}
			require.NoError(t, s.Close(t.Context()))
		})
	}
}

const (
	processVariable = "LEAT_TEST_SQS_CONSUMER" // the URL of a server and a topic, for a process of TestKilledConsumers
	processInFlight = 100
)

// TestKilledConsumers kills two processes of a group in turn, while events are published. Nothing
// is lost, a key is handled in order, and again only what was in flight.
func TestKilledConsumers(t *testing.T) {
	t.Parallel()
	server := awsstub.Start()
	t.Cleanup(server.Close)
	b, sub := live(t, server.URL()), leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	require.NoError(t, b.Declare(t.Context(), sub))
	h := &brokertest.Handlings{}
	start := func() (kill func()) {
		return h.Start(t, "TestConsumerInAProcess", processVariable, server.URL()+" "+sub.Topic)
	}
	kill := [2]func(){start(), start()}
	t.Cleanup(func() { kill[0](); kill[1]() })

	const keys = 20
	published, stop, stopped := 0, make(chan struct{}), make(chan error, 1)
	go func() {
		producer := leat.NewProducer(b, nil)
		for ; ; published += keys {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(10 * time.Millisecond): // as fast as the processes handle
			}
			if err := producer.Publish(t.Context(), sub.Topic, brokertest.Events(t, published, published+keys, keys)...); err != nil {
				stopped <- err
				return
			}
		}
	}()
	more := func(n int) {
		goal := h.Distinct() + n
		require.Eventually(t, func() bool { return h.Distinct() >= goal }, 2*brokertest.Patience, 10*time.Millisecond)
	}
	more(200)
	kills := rounds(2, 20)
	for i := range kills {
		kill[i%2]()
		kill[i%2] = start()
		more(200)
	}
	close(stop)
	require.NoError(t, <-stopped)
	require.Eventually(t, func() bool { return h.Distinct() == published }, 2*brokertest.Patience, 10*time.Millisecond, "none is lost")
	kill[0]()
	kill[1]()
	twice, inversions := h.Verdict(t)
	require.Zero(t, inversions, "of %d events", published)
	require.LessOrEqual(t, twice, kills*processInFlight)
	t.Logf("%d events, %d kills, %d handled twice", published, kills, twice)
}

// TestConsumerInAProcess is run by TestKilledConsumers, and prints what it handles.
func TestConsumerInAProcess(t *testing.T) {
	var url, topic string
	if n, _ := fmt.Sscan(os.Getenv(processVariable), &url, &topic); n != 2 {
		return
	}
	b, err := awssnssqs.New(&awssnssqs.Options{
		Mode: awssnssqs.ModeSQS, Endpoint: url, Wait: time.Second, Visibility: 5 * time.Second,
		Config: &aws.Config{Region: awsstub.Region, Credentials: static{}},
	})
	require.NoError(t, err)
	handler := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		fmt.Println(brokertest.Handles(e.Key(), e.ID()))
		time.Sleep(2 * time.Millisecond) // the work, in which the process may be killed
		return nil
	})
	consumer := leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: "g"}, handler, &leat.ConsumerOptions{MaxInFlight: processInFlight})
	require.NoError(t, leat.Run(t.Context(), consumer))
}
