package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestKafka runs the program on a real Kafka: as one process, with nothing changed but the URL, and
// as several.
func TestKafka(t *testing.T) {
	broker := "kafka://" + strings.Join(brokertest.StartKafka(t, nil).Addrs(), ",") +
		"?partitions=6&session_timeout=6s&heartbeat_interval=500ms"
	t.Run("in one process", func(t *testing.T) { inOneProcess(t, broker, "one") })
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killOnKafka(t, broker) })
}

// killOnKafka lets two instances of a service share the work, kills one of them in the middle, and
// accounts for every event.
func killOnKafka(t *testing.T, broker string) {
	ledgers := t.TempDir()
	const repeat = 30
	start := func(part string, more ...string) *process {
		return startProcess(t, append([]string{"-broker", broker, "-topic", "many", "-ledger", ledgers, "-run", part}, more...)...)
	}
	services := []*process{start(partPoison), start(serviceIssues), start(serviceNotifications), start(serviceAudit)}
	victim := start(serviceAudit)
	publisher := start(partPublish, "-repeat", strconv.Itoa(repeat), "-pace", "1ms")

	// Both instances have work before one is killed.
	require.Eventually(t, func() bool {
		return ledgerLines(t, ledgers, services[3].pid()) > 50 && ledgerLines(t, ledgers, victim.pid()) > 50
	}, time.Minute, 20*time.Millisecond, "the two instances of audit do not share the work")
	victim.kill()

	settle(t, ledgers, repeat, publisher, services...)
}
