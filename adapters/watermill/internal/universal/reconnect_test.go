//go:build !race

package universal_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestReconnects is the suite's TestReconnect: 10,000 messages of 100 publishers while the broker is restarted twice. The test appends to
// its list of published messages in one goroutine and reads it in another, so it cannot run under the race detector.
func TestReconnects(t *testing.T) {
	control := filepath.Join(t.TempDir(), "brokers")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", control, "github.com/leatgo/leat/internal/brokertest/cmd/brokers")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Run("kafka", func(t *testing.T) {
		brokertest.Kafka(t) // skips where there is none to be had
		dir := t.TempDir()
		kafka, err := brokertest.KeepKafka(t.Context(), dir, nil)
		require.NoError(t, err)
		require.NoError(t, kafka.Start(t.Context()))
		t.Cleanup(func() { _ = kafka.Stop() })
		b := broker{open: func(t *testing.T) leat.Broker { return openKafka(t, kafka.Addrs()) }, features: flags()}
		b.reconnect(t, control, "restart", "-dir", dir)
	})
}

func (b broker) reconnect(t *testing.T, command ...string) {
	t.Helper()
	features := b.features
	features.RestartServiceCommand = command
	tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: features},
		func(t *testing.T) (message.Publisher, message.Subscriber) { return b.pubSub(t, "universal") })
}
