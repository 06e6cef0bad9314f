package rabbitmq_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLog runs on one node, one after the other.
func TestLog(t *testing.T) { //nolint:tparallel // on its node they run one after the other
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	t.Run("a lost channel", func(t *testing.T) { testLostChannelHasALine(t, n) })
	t.Run("an alarm", func(t *testing.T) { testAlarmHasALine(t, n) })
	t.Run("an outage", func(t *testing.T) { testOutageHasFewLines(t, n) })
}

// testOutageHasFewLines: however many streams and attempts there are, the log of an outage has the
// lost connection, each kind of reason once, and its end.
func testOutageHasFewLines(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	p := newProxy(t, n.Addr())
	o := liveOptions(n)
	log := &brokertest.Logbook{}
	o.Hosts, o.Logger, o.RequestTimeout = []string{p.Addr()}, log.Logger(), 2*time.Second
	b := liveBroker(t, o)
	sub := liveSub(t)
	streams := []leat.Stream{liveSubscribe(t, b, sub)}
	for range 4 {
		streams = append(streams, liveSubscribe(t, b, liveSub(t)))
	}
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	require.Empty(t, log.With(""))

	h := startHangup(t)
	p.Point(h.Addr().String())
	_, err := n.CloseConnections(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = liveOutcomes(ctx, b, sub.Topic, liveEvents(t, 1, 2, 1)...)
		}
	})
	liveEventually(t, "both connections are tried again and again", func() bool { return h.count() >= 8 })
	assert.LessOrEqual(t, len(log.With("")), 3, "%s", log.With(""))
	assert.Len(t, log.With(`level=WARN msg="the connection to RabbitMQ is lost" purpose=`), 1)
	assert.NotEmpty(t, log.With(`level=WARN msg="cannot connect to RabbitMQ" host=`+p.Addr()))
	assert.Empty(t, log.With("again"))

	p.Point(n.Addr())
	liveEventually(t, "all streams are well", func() bool {
		for _, s := range streams {
			if s.(leat.HealthReporter).Health() != nil {
				return false
			}
		}
		return b.Health() == nil
	})
	cancel()
	wg.Wait()
	liveEventually(t, "the end is logged", func() bool { return len(log.With("connected to RabbitMQ again")) > 0 })
	assert.Len(t, log.With("lasted="), 1)
	assert.LessOrEqual(t, len(log.With("")), 4, "%s", log.With(""))
	t.Log(log.With(""))
}

// testLostChannelHasALine: a stream whose channel the broker ends, while the connection is well,
// says so, and that it consumes again.
func testLostChannelHasALine(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	log := &brokertest.Logbook{}
	o := liveOptions(n)
	o.Logger = log.Logger()
	b := liveBroker(t, o)
	sub := liveSub(t)
	liveSubscribe(t, b, sub)
	require.NoError(t, b.WithChannel(t.Context(), func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(sub.Topic+".g", false, false, false)
		return err
	}))
	liveEventually(t, "it consumes again", func() bool { return len(log.With("consuming again")) == 1 })
	assert.Len(t, log.With("a stream has lost its channel"), 1)
	assert.Len(t, log.With("topic="+sub.Topic+" group=g"), 2)
	assert.Len(t, log.With(""), 2)
}

// testAlarmHasALine: the log says that the broker takes no publishes, and that it takes them again.
func testAlarmHasALine(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	log := &brokertest.Logbook{}
	o := liveOptions(n)
	o.Logger = log.Logger()
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	require.NoError(t, n.MemoryAlarm(t.Context(), true))
	var wg sync.WaitGroup
	wg.Go(func() { livePublish(t, b, sub.Topic, liveEvents(t, 1, 2, 1)...) })
	liveEventually(t, "the alarm is logged", func() bool { return len(log.With(`msg="RabbitMQ takes no publishes for now; they wait"`)) == 1 })
	require.NoError(t, n.MemoryAlarm(context.WithoutCancel(t.Context()), false))
	liveEventually(t, "its end is logged", func() bool { return len(log.With(`msg="RabbitMQ takes publishes again" lasted=`)) == 1 })
	wg.Wait()
}
