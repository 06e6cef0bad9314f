package main

import (
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
)

// TestNATS runs the program on a real NATS: as one process, with nothing changed but the URL, and
// as several.
func TestNATS(t *testing.T) {
	broker := "nats://" + brokertest.StartNATS(t, nil).Addr() + "?ack_wait=3s&pinned_ttl=1s"
	t.Run("in one process", func(t *testing.T) { inOneProcess(t, broker, "one") })
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killActive(t, broker, "many", 30*time.Second) })
}
