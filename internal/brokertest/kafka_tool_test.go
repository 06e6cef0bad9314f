package brokertest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestKafkaTool(t *testing.T) {
	for _, class := range []string{"org.apache.kafka.tools.ConsoleProducer", "org.apache.kafka.tools.consumer.ConsoleConsumer"} {
		out, err := brokertest.KafkaTool(t.Context(), t, class, "--version").CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), brokertest.KafkaVersion)
	}
}
