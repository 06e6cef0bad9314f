package brokertest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestRabbitMQIsInjuredAndKeepsItsData(t *testing.T) {
	t.Parallel()
	node := brokertest.StartRabbitMQ(t, nil)
	node.Kill()
	require.NoError(t, node.Start(t.Context()))
	require.NoError(t, node.Restart(t.Context()))
	require.NoError(t, node.Pause())
	require.NoError(t, node.Stop(), "a paused node can be stopped")
}
