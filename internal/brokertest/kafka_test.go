package brokertest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestMain(m *testing.M) { brokertest.Main(m) }

func TestKafkaIsInjuredAndComesBack(t *testing.T) {
	kafka := brokertest.StartKafka(t, nil)
	node := kafka.Node(1)
	require.Len(t, kafka.Addrs(), 1)

	node.Kill()
	assert.False(t, node.Running())
	require.NoError(t, node.Start(t.Context()))
	require.Error(t, node.Start(t.Context()), "it runs already")
	require.NoError(t, node.Pause())
	require.NoError(t, node.Resume())
	require.NoError(t, node.Stop())
	assert.False(t, node.Running())
	require.Error(t, node.Pause(), "it does not run")
}

func TestSharedKafka(t *testing.T) {
	first := brokertest.Kafka(t)
	require.NotEmpty(t, first)
	require.Equal(t, first, brokertest.Kafka(t))
}
