package kafka_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// standstillVariable has, for the process that TestStandstill stops, what it consumes.
const standstillVariable = "LEAT_KAFKA_STANDSTILL"

// standstillWorkers is how many handlers it runs at a time.
const standstillWorkers = 16

// standstillWork is how long a handler takes. The test stops the process in that time.
const standstillWork = time.Second

// TestStandstillProcess is no test but the program of the consumer that TestStandstill stops. It
// writes a line when a handler starts.
func TestStandstillProcess(t *testing.T) {
	if os.Getenv(standstillVariable) == "" {
		t.Skip("it is run by TestStandstill")
	}
	c := processConfigOf(t, standstillVariable)
	consumer := leat.NewConsumer(liveBroker(t, c.options()), leat.Subscription{Topic: c.Topic, Group: c.Group},
		leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			_, _ = fmt.Fprintf(os.Stdout, "handled %s %d\n", e.ID(), time.Now().UnixNano())
			if e.ID() == "0" {
				awaitStandstill()
			} else {
				<-time.After(standstillWork)
			}
			return nil
		}), &leat.ConsumerOptions{Concurrency: standstillWorkers})
	require.NoError(t, leat.Run(t.Context(), consumer))
}

// awaitStandstill returns when the process stood still. It keeps a thread busy, so that what
// follows runs before the timers of other goroutines do.
func awaitStandstill() {
	for now := time.Now(); ; {
		before := now
		if now = time.Now(); now.Sub(before) >= standstillWork {
			return
		}
	}
}

// TestStandstill stops a member of a group for longer than its session, while handlers run and more
// events wait for them. Another member handles all of these. When the first goes on, no handler may
// start for them, although it has not found out yet what the group has done meanwhile.
func TestStandstill(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	const events = 400
	c := processConfig{Addrs: addrs, Topic: liveTopic(t, admin, 1), Group: liveName(t), Who: 1}
	b := liveBroker(t, c.options())
	sub := leat.Subscription{Topic: c.Topic, Group: c.Group}
	require.NoError(t, livePublish(t.Context(), b, c.Topic, liveEvents(t, 0, events, events/2)...))
	var first, second ledger
	stopped := startProcessOf(t, "TestStandstillProcess", standstillVariable, c, &first)
	require.Eventually(t, func() bool { return first.distinct() >= 2*standstillWorkers }, livePatience, time.Millisecond)
	require.NoError(t, eventtest.PauseProcess(t.Context(), stopped.cmd.Process.Pid))
	other := startMember(t, c.options(), sub, 2, second.note)
	require.Eventually(t, func() bool { return second.distinct() >= events-standstillWorkers }, livePatience, 10*time.Millisecond)
	liveCommitted(t, b, c.Topic, c.Group, events)
	at := time.Now()
	require.NoError(t, eventtest.ResumeProcess(stopped.cmd.Process.Pid))

	// It goes on as a member when the other has left.
	other.close(t)
	require.NoError(t, livePublish(t.Context(), b, c.Topic, liveEvents(t, events, events+1, 0)...))
	last := fmt.Sprint(events)
	require.Eventually(t, func() bool { return first.has(last) }, livePatience, 10*time.Millisecond)
	assert.Equal(t, 1, first.since(1, at), "handlers that started after the standstill, one of them for a new event")
	liveCommitted(t, b, c.Topic, c.Group, events+1)
}
