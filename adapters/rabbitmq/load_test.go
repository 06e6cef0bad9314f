package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// startLoad begins a load on a node.
func startLoad(t *testing.T, n *brokertest.RabbitMQNode) *brokertest.Load {
	t.Helper()
	topic := liveName(t)
	return brokertest.StartLoad(t, liveBroker(t, liveOptions(n)), topic, func() any {
		q, err := n.Queue(context.Background(), "/", topic+".g")
		if err != nil {
			return err
		}
		return q
	})
}

// TestConnectionsClosedUnderLoad: an administrator closes all connections again and again.
func TestConnectionsClosedUnderLoad(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	times := 5
	if brokertest.Long() {
		times = 50
	}
	l := startLoad(t, n)
	for range times {
		l.Progress(2_000)
		_, err := n.CloseConnections(t.Context(), nil)
		require.NoError(t, err)
	}
	l.Progress(2_000)
	l.Finish(times * brokertest.LoadInFlight)
}

// TestKilledUnderLoad: the broker is killed, and started with its data.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	times := 2
	if brokertest.Long() {
		times = 20
	}
	l := startLoad(t, n)
	require.NoError(t, n.Sync(t.Context()))
	for range times {
		l.Progress(2_000)
		n.Kill()
		require.NoError(t, n.Start(t.Context()))
	}
	l.Progress(2_000)
	l.Finish(times * brokertest.LoadInFlight)
}
