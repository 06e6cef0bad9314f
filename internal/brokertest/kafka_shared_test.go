package brokertest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestKafkaIsShared(t *testing.T) {
	t.Parallel()
	first := brokertest.Kafka(t)
	require.NotEmpty(t, first)
	require.Equal(t, first, brokertest.Kafka(t))
	n, err := brokertest.KafkaBrokers(t.Context(), first[0])
	require.NoError(t, err)
	require.Positive(t, n)
}
