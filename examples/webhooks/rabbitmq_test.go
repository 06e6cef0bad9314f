package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
)

// TestRabbitMQ runs the program on a real RabbitMQ: as one process, with nothing changed but the
// URL, and as several.
func TestRabbitMQ(t *testing.T) {
	broker := brokertest.RabbitMQ(t)
	topic := fmt.Sprintf("webhooks-%d", time.Now().UnixNano()) // on a broker that others use as well
	t.Run("in one process", func(t *testing.T) { inOneProcess(t, broker, topic+"-one") })
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killActive(t, broker, topic+"-many", 5*time.Second) })
}
