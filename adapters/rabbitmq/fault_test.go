package rabbitmq_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inTime is how far past a deadline an answer may come.
const inTime = 250 * time.Millisecond

// TestAlarms: while the broker does not take publishes, they end by their deadlines, consuming goes
// on, and health says what is wrong.
//
//nolint:tparallel // one alarm at a time
func TestAlarms(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	for name, alarm := range map[string]func(context.Context, bool) error{"memory": n.MemoryAlarm, "disk": n.DiskAlarm} {
		t.Run(name, func(t *testing.T) { testAlarm(t, n, alarm) })
	}
}

func testAlarm(t *testing.T, n *brokertest.RabbitMQNode, alarm func(context.Context, bool) error) {
	o := liveOptions(n)
	o.DeliveryTimeout, o.Buffer = time.Second, 50
	b := liveBroker(t, o)
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	before := liveEvents(t, 0, 20, 4)
	livePublish(t, b, sub.Topic, before...)
	require.NoError(t, alarm(t.Context(), true))
	defer func() { require.NoError(t, alarm(context.WithoutCancel(t.Context()), false)) }()

	assert.Len(t, liveReceive(t, s, len(before)), len(before), "what is there is consumed")
	began := time.Now()
	errs := liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 100, 150, 4)...)
	for _, err := range errs { // what the broker reads before it notices that it should not is confirmed
		assert.Contains(t, []leat.Code{leat.CodeOf(nil), leat.CodeUnknown, leat.CodeUnavailable}, leat.CodeOf(err), err)
	}
	require.Error(t, errs[len(errs)-1])
	assert.InDelta(t, o.DeliveryTimeout, time.Since(began), float64(inTime))
	require.ErrorContains(t, b.Health(), "blocked")
	s.Close(t.Context()) //nolint:errcheck // its error is that of the line below
	s = liveSubscribe(t, b, sub)
	testBlockedCaller(t, b, sub.Topic)
	testBlockedClose(t, o, sub.Topic)

	require.NoError(t, alarm(t.Context(), false))
	liveEventually(t, "publishing works again", func() bool {
		return liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 999, 1000, 1)...)[0] == nil
	})
	liveEventually(t, "all is well", func() bool { return b.Health() == nil })
	for id := ""; id != "999"; id = liveReceive(t, s, 1)[0] {
	}
}

// testBlockedCaller: a publish that finds no room ends with its context.
func testBlockedCaller(t *testing.T, b *rabbitmq.Broker, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	canceled := 0
	done := make(chan error, 60)
	b.Publish(ctx, topic, liveEvents(t, 200, 260, 4), func(_ int, err error) { done <- err })
	assert.Less(t, time.Since(began), 200*time.Millisecond+inTime)
	for range 60 {
		if leat.CodeOf(<-done) == leat.CodeCanceled {
			canceled++
		}
	}
	assert.GreaterOrEqual(t, canceled, 10, "what did not fit into the buffer")
}

// testBlockedClose: Close ends by its deadline.
func testBlockedClose(t *testing.T, o rabbitmq.Options, topic string) {
	t.Helper()
	o.DeliveryTimeout, o.CloseTimeout = time.Minute, 500*time.Millisecond
	b, err := rabbitmq.New(&o)
	require.NoError(t, err)
	done := make(chan error, 20)
	b.Publish(t.Context(), topic, liveEvents(t, 300, 320, 4), func(_ int, err error) { done <- err })
	began := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(began), o.CloseTimeout+inTime)
	for range 20 {
		assert.Contains(t, []leat.Code{leat.CodeOf(nil), leat.CodeUnknown, leat.CodeClosed}, leat.CodeOf(<-done))
	}
}

// TestFaults runs on one node what does not disturb others.
func TestFaults(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Config: map[string]string{"consumer_timeout": "3000"}})
	for name, test := range map[string]func(*testing.T, *brokertest.RabbitMQNode){
		"queue deleted": testQueueDeleted, "exchange deleted": testExchangeDeleted, "unroutable": testUnroutable,
		"unroutable kept": testUnroutableKept, "unroutable kept while publishing": testUnroutableKeptWhilePublishing,
		"unroutable conflict": testUnroutableConflict, "unroutable nacked": testUnroutableNacked,
		"unroutable replicas": testUnroutableReplicas, "queue full": testQueueFull,
		"no permission": testNoPermission, "no topic permission": testNoTopicPermission,
		"user deleted": testUserDeleted, "bad publish": testBadPublish, "parked head": testParkedHead,
		"unknown exchange": testUnknownExchange, "overrun": testOverrun, "large messages": testLargeMessages,
		"small messages again": testSmallMessagesAgain, "given back often": testGivenBackOften,
		"delay queue": testDelayQueue, "no delay queue": testNoDelayQueue, "native reject": testNativeReject,
		"broadcast recycled": testBroadcastRecycled, "requests without answer": testRequestsWithoutAnswer,
		"cancelled consumer": testCancelledConsumer, "takeover": testTakeover,
		"quiesce unordered": testQuiesceUnordered, "quiesce lost": testQuiesceLost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, n)
		})
	}
}

// testQueueDeleted: the lease ends, and the stream goes on with a new queue.
func testQueueDeleted(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 10, 2)...)
	held := liveHold(t, s, 10)
	require.NoError(t, n.DeleteQueue(t.Context(), "/", sub.Topic+".g"))
	liveEventually(t, "the lease has ended", func() bool { return held[0].Lease.Ended() })
	liveEventually(t, "the stream is well again", func() bool { return s.Health() == nil })
	for i := range held {
		s.Settle(&held[i], leat.Settlement{Action: leat.Ack}) // has no effect on the new channel
	}
	events := liveEvents(t, 10, 20, 1)
	livePublish(t, b, sub.Topic, events...)
	assert.Equal(t, ids(events), liveReceive(t, s, 10))
}

// testExchangeDeleted: nothing is reported as stored that is not, other topics go on, and so does
// this one when the exchange is back.
func testExchangeDeleted(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.PublishChannels = 1 // neighbours on one channel
	b := liveBroker(t, o)
	sub, other := liveSub(t), liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub, other))
	s := liveSubscribe(t, b, other)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 10, 2)...)
	livePublish(t, b, other.Topic, liveEvents(t, 0, 10, 2)...)
	liveReceive(t, s, 10)
	ch := liveChannel(t, liveRaw(t, n.URL()))
	require.NoError(t, ch.ExchangeDelete(sub.Topic, false, false))

	neighbours := make(chan []error, 1)
	others := liveEvents(t, 10, 300, 4)
	go func() { neighbours <- liveOutcomes(t.Context(), b, other.Topic, others...) }()
	for _, err := range liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 10, 300, 4)...) {
		require.Error(t, err)
		assert.Contains(t, []leat.Code{leat.CodeUnknown, leat.CodeNotFound}, leat.CodeOf(err), err)
	}
	confirmed := 0
	for _, err := range <-neighbours {
		if err == nil {
			confirmed++
		} else {
			assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), err)
		}
	}
	for _, err := range liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 300, 400, 4)...) {
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), err)
	}
	liveReceive(t, s, confirmed)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 400, 410, 2)...)
}

// testUnknownExchange: what is published to a topic that does not exist is refused, for certain,
// and disturbs nobody.
func testUnknownExchange(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.PublishChannels = 1
	b := liveBroker(t, o)
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	good := make(chan []error, 1)
	events := liveEvents(t, 0, 1_000, 4)
	go func() { good <- liveOutcomes(t.Context(), b, sub.Topic, events...) }()
	for range 20 {
		for _, err := range liveOutcomes(t.Context(), b, liveName(t), liveEvents(t, 0, 10, 2)...) {
			assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), err)
		}
	}
	for _, err := range <-good {
		require.NoError(t, err)
	}
	liveReceive(t, s, 1_000)
}

// testUnroutable: an event that no queue takes is refused, unless that is allowed, and its
// neighbours are stored.
func testUnroutable(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) { q.Keys = []string{"good"} }
	o.RoutingKey = func(_ string, e leat.Event) string {
		if strings.HasSuffix(e.ID(), "0") {
			return "bad"
		}
		return "good"
	}
	b := liveBroker(t, o)
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	var bad []leat.Event
	for i, e := range liveEvents(t, 0, 20_000, 5) {
		if i%10 == 0 {
			bad = append(bad, e)
		}
	}
	for range 10 { // a return and its answer come at the same time
		for i, err := range liveOutcomes(t.Context(), b, sub.Topic, bad...) {
			require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "event %d: %v", i, err)
		}
		for i, err := range liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 0, 1_000, 5)...) {
			if i%10 == 0 {
				require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "event %d: %v", i, err)
			} else {
				require.NoError(t, err, "event %d", i)
			}
		}
		liveReceive(t, s, 900)
	}
	o.Unroutable = rabbitmq.UnroutableDrop
	livePublish(t, liveBroker(t, o), sub.Topic, liveEvents(t, 0, 100, 5)...)
	liveReceive(t, s, 90)
}

// testQueueFull: the broker's nack is never success, and not certain either.
func testQueueFull(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.QueueType = rabbitmq.QueueClassic
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) {
		q.Arguments[amqp.QueueMaxLenArg], q.Arguments[amqp.QueueOverflowArg] = 10, amqp.QueueOverflowRejectPublish
	}
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	confirmed := 0
	for _, err := range liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 0, 50, 1)...) {
		if err == nil {
			confirmed++
			continue
		}
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), err)
	}
	assert.Less(t, confirmed, 50)
	s := liveSubscribe(t, b, sub)
	assert.Len(t, liveReceive(t, s, confirmed), confirmed)
	liveNothing(t, s, 100*time.Millisecond)
	livePublish(t, b, sub.Topic, liveEvents(t, 50, 55, 1)...)
}

// liveUser adds a user with all permissions, and returns options for it.
func liveUser(t *testing.T, n *brokertest.RabbitMQNode) (string, rabbitmq.Options) {
	t.Helper()
	user := liveName(t)
	require.NoError(t, n.AddUser(t.Context(), user, "secret"))
	require.NoError(t, n.SetPermissions(t.Context(), user, "/", ".*", ".*", ".*"))
	o := liveOptions(n)
	o.Credentials = func(context.Context) (string, string, error) { return user, "secret", nil }
	return user, o
}

// testNoPermission: a user who may not write to a topic is refused there, and only there.
func testNoPermission(t *testing.T, n *brokertest.RabbitMQNode) {
	user, o := liveUser(t, n)
	o.PublishChannels = 1
	b := liveBroker(t, o)
	sub, other := liveSub(t), liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub, other))
	livePublish(t, b, other.Topic, liveEvents(t, 0, 10, 2)...)
	require.NoError(t, n.SetPermissions(t.Context(), user, "/", ".*", strings.ReplaceAll(other.Topic, ".", `\.`)+".*", ".*"))
	for _, err := range liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 0, 100, 4)...) {
		assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), err)
	}
	livePublish(t, b, other.Topic, liveEvents(t, 10, 20, 2)...)
	require.NoError(t, n.SetPermissions(t.Context(), user, "/", ".*", ".*", ".*"))
	livePublish(t, b, sub.Topic, liveEvents(t, 100, 110, 2)...)
}

// testNoTopicPermission: a routing key that a user may not publish by is refused, and the others of
// its topic are not.
func testNoTopicPermission(t *testing.T, n *brokertest.RabbitMQNode) {
	user, o := liveUser(t, n)
	o.PublishChannels = 1
	o.RoutingKey = func(_ string, e leat.Event) string {
		if e.ID() == "0" {
			return "bad"
		}
		return "good"
	}
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	require.NoError(t, n.Manage(t.Context(), http.MethodPut, "/api/topic-permissions/%2F/"+url.PathEscape(user),
		map[string]string{"exchange": sub.Topic, "write": "^good$", "read": ".*"}, nil))
	for _, first := range []int{0, 0, 1} {
		events := liveEvents(t, first, 100, 4)
		events = append(events, liveEvents(t, 0, 1, 1)...)
		for i, err := range liveOutcomes(t.Context(), b, sub.Topic, events...) {
			if events[i].ID() == "0" {
				assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), err)
			} else {
				assert.NoError(t, err)
			}
		}
	}
}

// testUserDeleted: a user who is deleted is told so, and goes on when there is one again.
func testUserDeleted(t *testing.T, n *brokertest.RabbitMQNode) {
	user, o := liveUser(t, n)
	b := liveBroker(t, o)
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 10, 2)...)
	liveReceive(t, s, 10)
	require.NoError(t, n.DeleteUser(t.Context(), user))
	one := liveEvents(t, 10, 11, 1)
	liveEventually(t, "publishes are refused", func() bool {
		return leat.CodeOf(liveOutcomes(t.Context(), b, sub.Topic, one...)[0]) == leat.CodeUnauthenticated
	})
	liveEventually(t, "health says why", func() bool { return leat.CodeOf(s.Health()) == leat.CodeUnauthenticated })
	assert.NotContains(t, fmt.Sprint(b.Health()), "secret")
	_, err := b.Subscribe(t.Context(), liveSub(t))
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), err)
	require.NoError(t, n.AddUser(t.Context(), user, "secret"))
	require.NoError(t, n.SetPermissions(t.Context(), user, "/", ".*", ".*", ".*"))
	liveEventually(t, "publishes are taken again", func() bool {
		return liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 20, 21, 1)...)[0] == nil
	})
	for id := ""; id != "20"; id = liveReceive(t, s, 1)[0] { // what was published before the end may come first
	}
	liveEventually(t, "all is well", func() bool { return b.Health() == nil })
}

// testBadPublish: the broker closes the channel for a message that it does not take. By itself the
// event is refused; others in flight with it are unknown, and what comes later is published.
func testBadPublish(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.PublishChannels = 1
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	require.NoError(t, b.WithChannel(t.Context(), func(ch *amqp.Channel) error { // nobody may publish to it but the broker
		return ch.ExchangeDeclare(sub.Topic+".internal", "topic", true, false, true, false, nil)
	}))
	events := liveEvents(t, 0, 300, 4)
	for range 3 {
		good := make(chan []error, 1)
		go func() { good <- liveOutcomes(t.Context(), b, sub.Topic, events...) }()
		for _, err := range liveOutcomes(t.Context(), b, sub.Topic+".internal", liveEvents(t, 0, 3, 1)...) {
			assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), err)
		}
		for _, err := range <-good {
			require.NoError(t, err)
		}
	}
}
