package nats_test

import (
	"math"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// live returns a broker on the NATS that the tests share, or on hosts. The end of the test closes
// it.
func live(t *testing.T, o nats.Options) *nats.Broker {
	t.Helper()
	if o.Hosts == nil {
		o.Hosts = brokertest.NATS(t)
	}
	o.RequestTimeout, o.CloseTimeout = brokertest.Patience, 5*time.Second
	b, err := nats.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// raw returns the native client. The end of the test closes it.
func raw(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := client.Connect("nats://" + brokertest.NATS(t)[0])
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, brokertest.Patience, 10*time.Millisecond, what)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]nats.Options{"binary": {}, "structured": {Structured: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokertest.RoundTrip(t.Context(), t, live(t, o), leat.Subscription{Topic: brokertest.Name(t), Group: "g.1"})
		})
	}
}

// startLoad begins a load on hosts.
func startLoad(t *testing.T, o nats.Options) *brokertest.Load {
	t.Helper()
	o.AckWait, o.PinnedTTL = ackWait, 2*time.Second
	// A leader that steps down answers nothing to what it was sent, and a load waits for answers.
	o.DeliveryTimeout = brokertest.Patience / 3
	return brokertest.StartLoad(t, live(t, o), brokertest.Name(t), nil)
}

// TestKilledUnderLoad: the server is killed again and again, and started with its data.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	times := 2
	if brokertest.Long() {
		times = 20
	}
	server := brokertest.StartNATS(t, nil)
	l := startLoad(t, nats.Options{Hosts: server.Addrs()})
	for range times {
		l.Progress(2_000)
		server.Kill()
		require.NoError(t, server.Start(t.Context()))
	}
	l.Progress(2_000)
	l.Finish(math.MaxInt) // a server writes acks about ten times a second, and forgets the last when it is killed
}

// TestClusterLosesNodes: streams have three replicas, and one node after the other is killed and
// comes back.
func TestClusterLosesNodes(t *testing.T) {
	t.Parallel()
	times := 1
	if brokertest.Long() {
		times = 6
	}
	cluster := brokertest.StartNATS(t, &brokertest.NATSOptions{Nodes: 3})
	l := startLoad(t, nats.Options{Hosts: cluster.Addrs(), Replicas: 3})
	for i := range times {
		l.Progress(1_000)
		node := cluster.Node(i%3 + 1)
		node.Kill()
		l.Progress(1_000)
		require.NoError(t, node.Start(t.Context()))
	}
	l.Progress(1_000)
	l.Finish(math.MaxInt) // likewise
}
