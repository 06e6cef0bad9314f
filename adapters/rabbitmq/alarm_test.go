package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFullSocket runs on one node, one after the other, what happens in an alarm when nothing can
// be written any more.
func TestFullSocket(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	testLongAlarm(t, n)
	testAlarmAndLostConnection(t, n)
}

// testLongAlarm: an alarm that lasts longer than the heartbeats may stay away, with so much under
// way that nothing can be written, ends no connection. When it is over, everything is confirmed,
// and stored in order.
func testLongAlarm(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	lasting := 5 * time.Second
	if brokertest.Long() {
		lasting = 40 * time.Second
	}
	a := startAlarm(t, n, 60, 1<<20-1<<10)
	a.last(t, lasting)
	a.end(t, n)
	assert.Zero(t, a.unknown)
	assert.Zero(t, a.late)
	assert.Equal(t, 1, a.proxy.Dials(), "the connection has not lasted")
}

// testAlarmAndLostConnection: when the connection is lost in an alarm, what was under way is
// unknown, and may be stored later, when the broker reads what it had received, and behind later
// ones of its key. What is confirmed is in order all the same.
func testAlarmAndLostConnection(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	a := startAlarm(t, n, 3_000, 20<<10)
	for range 3 {
		a.last(t, time.Second)
		a.proxy.Cut()
	}
	a.end(t, n)
	assert.Positive(t, a.unknown)
	t.Logf("%d of %d events unknown, %d of these came, %d of these behind later ones", a.unknown, len(a.events), a.stored, a.late)
}

// alarmed publishes under an alarm.
type alarmed struct {
	proxy   *proxy
	broker  *rabbitmq.Broker
	sub     leat.Subscription
	events  []leat.Event
	answers chan []error
	unknown int // have no certain outcome
	stored  int // of them
	late    int // of them, behind later ones of their key
}

const alarmKeys = 8

// startAlarm raises the alarm, and begins to publish more than there is room for in the socket.
func startAlarm(t *testing.T, n *brokertest.RabbitMQNode, events, size int) *alarmed {
	t.Helper()
	a := &alarmed{proxy: newProxy(t, n.Addr()), sub: liveSub(t), answers: make(chan []error, 1)}
	o := liveOptions(n)
	a.sub.MaxInFlight = 10
	require.NoError(t, leat.Declare(t.Context(), liveBroker(t, o), a.sub))
	o.Hosts, o.Heartbeat = []string{a.proxy.Addr()}, time.Second
	a.broker = liveBroker(t, o)
	livePublish(t, a.broker, a.sub.Topic, liveEvents(t, 0, alarmKeys, alarmKeys)...)
	require.NoError(t, n.MemoryAlarm(t.Context(), true))
	a.events = liveEvents(t, alarmKeys, alarmKeys+events, alarmKeys)
	data := make([]byte, size)
	for i, e := range a.events {
		a.events[i] = e.WithData("application/octet-stream", data)
	}
	go func() { a.answers <- liveOutcomes(context.Background(), a.broker, a.sub.Topic, a.events...) }()
	return a
}

// last lets the alarm last.
func (a *alarmed) last(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case errs := <-a.answers:
		t.Fatal("all events have their outcome in the alarm: ", errs)
	case <-time.After(d):
	}
}

// end ends the alarm, and checks the events by their outcomes.
func (a *alarmed) end(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	require.NoError(t, n.MemoryAlarm(t.Context(), false))
	confirmed := map[string]bool{}
	for i := range alarmKeys {
		confirmed[fmt.Sprint(i)] = true
	}
	for i, err := range <-a.answers {
		if err == nil {
			confirmed[a.events[i].ID()] = true
		} else {
			a.unknown++
			assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), err)
		}
	}
	o := liveOptions(n)
	s := liveSubscribe(t, liveBroker(t, o), a.sub)
	newest, newestConfirmed := map[string]int{}, map[string]int{}
	for left := len(confirmed); ; {
		patience := livePatience
		if left == 0 { // what is not confirmed may still come
			patience = 500 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		into := make([]leat.Delivery, 1)
		_, err := s.Receive(ctx, into)
		cancel()
		if err != nil {
			require.Zero(t, left, "confirmed and not delivered")
			return
		}
		d := into[0]
		s.Settle(&d, leat.Settlement{Action: leat.Ack})
		key, seq := d.Event.Key(), 0
		_, err = fmt.Sscan(d.Event.ID(), &seq)
		require.NoError(t, err)
		if confirmed[d.Event.ID()] {
			left--
			assert.GreaterOrEqual(t, seq, newestConfirmed[key], "what is confirmed is out of order")
			newestConfirmed[key] = seq
		} else {
			a.stored++
			if seq < newest[key] {
				a.late++
			}
		}
		newest[key] = max(newest[key], seq)
	}
}
