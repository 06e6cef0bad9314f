package main

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestRabbitMQ runs the program on a real RabbitMQ: as one process, with nothing changed but the
// URL, and as several.
func TestRabbitMQ(t *testing.T) {
	broker := brokertest.RabbitMQ(t)
	topic := fmt.Sprintf("webhooks-%d", time.Now().UnixNano()) // on a broker that others use as well
	t.Run("in one process", func(t *testing.T) { inOneProcess(t, broker, topic+"-one") })
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killOnRabbitMQ(t, broker, topic+"-many") })
}

// killOnRabbitMQ kills the active instance of a service in the middle, so that the one that stands
// by takes over, and accounts for every event.
func killOnRabbitMQ(t *testing.T, broker, topic string) {
	ledgers := t.TempDir()
	const repeat = 30
	start := func(part string, more ...string) *process {
		return startProcess(t, append([]string{"-broker", broker, "-topic", topic, "-ledger", ledgers, "-run", part}, more...)...)
	}
	audits := []*process{start(serviceAudit), start(serviceAudit)}
	services := []*process{start(partPoison), start(serviceIssues), start(serviceNotifications)}
	publisher := start(partPublish, "-repeat", strconv.Itoa(repeat), "-pace", "1ms")

	active := -1
	require.Eventually(t, func() bool {
		for i, p := range audits {
			if ledgerLines(t, ledgers, p.pid()) > 200 {
				active = i
			}
		}
		return active >= 0
	}, time.Minute, 20*time.Millisecond, "no instance of audit works")
	standby := audits[1-active]
	require.Zero(t, ledgerLines(t, ledgers, standby.pid()), "both work at a time")
	audits[active].kill()
	require.Eventually(t, func() bool { return ledgerLines(t, ledgers, standby.pid()) > 0 }, 5*time.Second, 20*time.Millisecond,
		"the instance that stands by does not take over")
	settle(t, ledgers, repeat, publisher, append(services, standby)...)
}
