package main

import (
	"strings"
	"testing"

	"github.com/leatgo/leat/internal/brokertest"
)

// TestKafka runs the program on a real Kafka: as one process, with nothing changed but the URL, and
// as several.
func TestKafka(t *testing.T) {
	broker := "kafka://" + strings.Join(brokertest.StartKafka(t, nil).Addrs(), ",") +
		"?partitions=6&session_timeout=6s&heartbeat_interval=500ms"
	t.Run("in one process", func(t *testing.T) { inOneProcess(t, broker, "one") })
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killSharing(t, broker, "many", 30) })
}
