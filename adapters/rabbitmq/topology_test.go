package rabbitmq_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/middleware"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTopology runs on one node.
func TestTopology(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	for name, test := range map[string]func(*testing.T, *brokertest.RabbitMQNode){
		"create": testCreate, "create classic": testCreateClassic, "another form": testAnotherForm,
		"no order": testNoOrder, "order kept": testOrderKept,
		"existing": testExisting, "delivery limit": testDeliveryLimit, "reject": testReject, "verify": testVerify,
		"verify without an API": testVerifyWithoutAPI, "verify differences": testVerifyDifferences, "verify refused": testVerifyRefused,
		"lag": testLag, "own exchange": testOwnExchange, "broadcast": testDeclareBroadcast, "permissions": testPermissions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, n)
		})
	}
}

// managed adds the management API to options, in which it has no credentials of its own.
func managed(t *testing.T, n *brokertest.RabbitMQNode, o rabbitmq.Options) rabbitmq.Options {
	t.Helper()
	u, err := url.Parse(n.ManagementURL())
	require.NoError(t, err)
	u.User = nil
	o.ManagementURL = u.String()
	return o
}

func exchangeOf(t *testing.T, n *brokertest.RabbitMQNode, name string) *brokertest.RabbitMQExchange {
	t.Helper()
	all, err := n.Exchanges(t.Context(), "/")
	require.NoError(t, err)
	for _, x := range all {
		if x.Name == name {
			return &x
		}
	}
	return nil
}

func bindingsOf(t *testing.T, n *brokertest.RabbitMQNode, exchange string) (keys []string) {
	t.Helper()
	all, err := n.Bindings(t.Context(), "/")
	require.NoError(t, err)
	for _, b := range all {
		if b.Source == exchange {
			keys = append(keys, b.Destination+" "+b.RoutingKey)
		}
	}
	return keys
}

func testCreate(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	var wg sync.WaitGroup
	for range 4 { // as processes that start together, and again
		b := liveBroker(t, liveOptions(n))
		wg.Go(func() {
			assert.NoError(t, b.Declare(t.Context(), sub, leat.Subscription{Topic: sub.Topic, Group: "h", Unordered: true}))
			assert.NoError(t, b.Declare(t.Context(), sub))
		})
	}
	wg.Wait()
	assert.Equal(t, &brokertest.RabbitMQExchange{Name: sub.Topic, Type: "topic", Durable: true, Arguments: map[string]any{}},
		exchangeOf(t, n, sub.Topic))
	assert.ElementsMatch(t, []string{sub.Topic + ".g #", sub.Topic + ".h #"}, bindingsOf(t, n, sub.Topic))
	for group, single := range map[string]bool{"g": true, "h": false} {
		q, err := n.Queue(t.Context(), "/", sub.Topic+"."+group)
		require.NoError(t, err)
		assert.True(t, q.Durable)
		want := map[string]any{
			"x-queue-type": "quorum", "x-delivery-limit": 100_000.0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": q.Name + ":dead",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		}
		if single {
			want["x-single-active-consumer"] = true
		}
		assert.Equal(t, want, q.Arguments)
		dead, err := n.Queue(t.Context(), "/", q.Name+":dead")
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"x-queue-type": "quorum", "x-delivery-limit": 100_000.0}, dead.Arguments)
	}
}

func testCreateClassic(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.QueueType = rabbitmq.QueueClassic
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) {
		q.Arguments["x-max-length"] = 1_000
		q.Keys = []string{"order.#", "refund.*"}
	}
	sub := liveSub(t)
	b := liveBroker(t, o)
	require.NoError(t, b.Declare(t.Context(), sub))
	require.NoError(t, b.Declare(t.Context(), sub))
	q, err := n.Queue(t.Context(), "/", sub.Topic+".g")
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"x-queue-type": "classic", "x-single-active-consumer": true, "x-max-length": 1_000.0}, q.Arguments)
	assert.ElementsMatch(t, []string{q.Name + " order.#", q.Name + " refund.*"}, bindingsOf(t, n, sub.Topic))
	_, err = n.Queue(t.Context(), "/", q.Name+":dead")
	require.ErrorIs(t, err, brokertest.ErrNoQueue)
}

// testAnotherForm: what exists in another form is reported, with what differs, and left as it is.
func testAnotherForm(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	require.NoError(t, liveBroker(t, liveOptions(n)).Declare(t.Context(), sub))
	for text, change := range map[string]func(o *rabbitmq.Options){
		"the argument x-delivery-limit of the queue": func(o *rabbitmq.Options) { o.DeliveryLimit = 7 },
		"x-dead-letter-exchange":                     func(o *rabbitmq.Options) { o.QueueType = rabbitmq.QueueClassic },
		"the argument x-max-length of the queue": func(o *rabbitmq.Options) {
			o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) { q.Arguments["x-max-length"] = 5 }
		},
		"the argument durable of the exchange": func(o *rabbitmq.Options) {
			o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Durable = false }
		},
		"the argument type of the exchange": func(o *rabbitmq.Options) {
			o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Kind = "fanout" }
		},
	} {
		o := liveOptions(n)
		change(&o)
		err := liveBroker(t, o).Declare(t.Context(), sub)
		assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%s: %v", text, err)
		assert.ErrorContains(t, err, text)
		assert.ErrorContains(t, err, sub.Topic)
	}
	require.NoError(t, liveBroker(t, liveOptions(n)).Declare(t.Context(), sub))

	o := liveOptions(n)
	o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Name = "amq.leat" }
	err := liveBroker(t, o).Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Kind = "no-such-kind" }
	err = liveBroker(t, o).Declare(t.Context(), liveSub(t))
	assert.NotEqual(t, leat.CodeOf(nil), leat.CodeOf(err))
	assert.ErrorContains(t, err, "no-such-kind")
}

// testNoOrder: a queue that cannot keep order by key is not used as if it could.
func testNoOrder(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	competing := sub
	competing.Unordered = true
	b := liveBroker(t, liveOptions(n))
	require.NoError(t, b.Declare(t.Context(), competing))
	err := b.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "Unordered")

	o := liveOptions(n)
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) { delete(q.Arguments, "x-single-active-consumer") }
	err = liveBroker(t, o).Declare(t.Context(), liveSub(t))
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) { q.Arguments["x-queue-type"] = "stream" }
	err = liveBroker(t, o).Declare(t.Context(), liveSub(t))
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "stream")
}

// testOrderKept: a queue that keeps order is not used as if members of the group shared it, and the
// error says what to do. So it is for the group that reads a poison queue, which Run declares: an
// older version has declared its queue with order.
func testOrderKept(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	b := liveBroker(t, liveOptions(n))
	verifies := managed(t, n, liveOptions(n))
	verifies.Provision = rabbitmq.ProvisionVerify
	unordered := sub
	unordered.Unordered = true
	older := liveOptions(n)
	older.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) { q.Arguments["x-single-active-consumer"] = true }
	require.NoError(t, liveBroker(t, older).Declare(t.Context(), sub, leat.ReplayOf(sub)))
	for _, declares := range []*rabbitmq.Broker{b, liveBroker(t, verifies)} {
		err := declares.Declare(t.Context(), unordered)
		assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
		assert.ErrorContains(t, err, "subscribe without Unordered")
		for _, s := range []leat.Subscription{sub, unordered} {
			err = declares.Declare(t.Context(), leat.ReplayOf(s))
			assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
			assert.ErrorContains(t, err, "an older version of Leat has declared it: replay with that until it is empty, delete it")
		}
	}

	fresh := leat.Subscription{Topic: sub.Topic, Group: "fresh", Unordered: true}
	queue := middleware.PoisonQueue(leat.NewProducer(b, nil), &middleware.PoisonOptions{
		Topic: func(topic, _ string) string { return leat.PoisonTopic(topic, sub.Group) },
	})
	c := leat.NewConsumer(b, fresh, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }),
		&leat.ConsumerOptions{PoisonQueue: queue})
	err := leat.Run(t.Context(), c)
	assert.ErrorContains(t, err, "delete it, and start the consumer again", "Run says the same")
}

// testExisting: exchanges and queues that others made are used as they are.
func testExisting(t *testing.T, n *brokertest.RabbitMQNode) {
	ch := liveChannel(t, liveRaw(t, n.URL()))
	sub := liveSub(t)
	sub.Unordered = true
	exchange, queue := sub.Topic+".ex", sub.Topic+".qu"
	o := liveOptions(n)
	o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Name, x.Existing = exchange, true }
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) {
		*q = rabbitmq.Queue{Name: queue, Durable: true, Existing: true}
	}
	b := liveBroker(t, o)
	err := b.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, exchange)
	require.NoError(t, ch.ExchangeDeclare(exchange, "fanout", false, false, false, false, nil))
	err = b.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, queue)
	_, err = ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-max-priority": int32(3)})
	require.NoError(t, err)
	require.NoError(t, b.Declare(t.Context(), sub))
	assert.Empty(t, bindingsOf(t, n, exchange), "nothing is changed")
	lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	assert.Equal(t, leat.LagPart{Name: queue, Details: map[string]int64{"ready": 0, "consumers": 0}}, lag.Parts[0])

	sub.Unordered = false
	err = b.Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
	o = managed(t, n, o)
	o.Provision = rabbitmq.ProvisionVerify
	o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) { q.Name, q.Existing = queue, true }
	err = liveBroker(t, o).Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "it is said to keep order, and does not: %v", err)
}

// testDeliveryLimit: a message that was delivered too often is not lost. A closed channel counts, a
// nack as well.
func testDeliveryLimit(t *testing.T, n *brokertest.RabbitMQNode) {
	o := liveOptions(n)
	o.DeliveryLimit = 2
	sub := liveSub(t)
	b := liveBroker(t, o)
	require.NoError(t, b.Declare(t.Context(), sub))
	conn := liveRaw(t, n.URL())
	require.NoError(t, liveChannel(t, conn).Publish(sub.Topic, "k", true, false, amqp.Publishing{DeliveryMode: 2, Body: []byte("x")}))
	for i := range 3 {
		ch := liveChannel(t, conn)
		deliveries, err := ch.Consume(sub.Topic+".g", "", false, false, false, false, nil)
		require.NoError(t, err)
		m := <-deliveries
		assert.Equal(t, i > 0, m.Redelivered)
		require.NoError(t, ch.Close())
	}
	inDeadLetters(t, conn, b, sub, "delivery_limit")
}

// testReject: what a consumer rejects goes to the dead-letter queue, which is what NativeReject is.
func testReject(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	b := liveBroker(t, liveOptions(n))
	require.NoError(t, b.Declare(t.Context(), sub))
	conn := liveRaw(t, n.URL())
	ch := liveChannel(t, conn)
	require.NoError(t, ch.Publish(sub.Topic, "k", true, false, amqp.Publishing{DeliveryMode: 2, Body: []byte("x")}))
	deliveries, err := ch.Consume(sub.Topic+".g", "", false, false, false, false, nil)
	require.NoError(t, err)
	m := <-deliveries
	require.NoError(t, m.Reject(false))
	inDeadLetters(t, conn, b, sub, "rejected")
}

// inDeadLetters waits for one message in the dead-letter queue of a group, and for none in the
// group's.
func inDeadLetters(t *testing.T, conn *amqp.Connection, b *rabbitmq.Broker, sub leat.Subscription, reason string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
		if assert.NoError(c, err) {
			assert.EqualValues(c, 1, lag.Parts[0].Details["dead_letters"])
		}
		assert.Zero(c, lag.Events)
	}, livePatience, 20*time.Millisecond)
	m, ok, err := liveChannel(t, conn).Get(sub.Topic+".g:dead", true)
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, "x", string(m.Body))
	assert.Equal(t, reason, m.Headers["x-first-death-reason"])
}

func testVerify(t *testing.T, n *brokertest.RabbitMQNode) {
	require.NoError(t, n.AddVhost(t.Context(), "a/b"))
	for _, vhost := range []string{"/", "a/b"} {
		o := managed(t, n, liveOptions(n))
		o.VHost, o.Provision = vhost, rabbitmq.ProvisionVerify
		sub := liveSub(t)
		verifying := liveBroker(t, o)
		err := verifying.Declare(t.Context(), sub)
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
		o.Provision = rabbitmq.ProvisionCreate
		for _, kind := range []rabbitmq.QueueType{rabbitmq.QueueQuorum, rabbitmq.QueueClassic} {
			o.QueueType = kind
			sub.Group = []string{"quorum", "classic"}[kind]
			require.NoError(t, liveBroker(t, o).Declare(t.Context(), sub))
			o := o
			o.Provision = rabbitmq.ProvisionVerify
			require.NoError(t, liveBroker(t, o).Declare(t.Context(), sub, leat.Subscription{Topic: sub.Topic, Broadcast: true}))
		}
	}
}

func testVerifyWithoutAPI(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	require.NoError(t, liveBroker(t, liveOptions(n)).Declare(t.Context(), sub))
	var log bytes.Buffer
	o := liveOptions(n)
	o.Provision, o.Logger = rabbitmq.ProvisionVerify, slog.New(slog.NewTextHandler(&log, nil))
	require.NoError(t, liveBroker(t, o).Declare(t.Context(), sub))
	assert.Contains(t, log.String(), "is not verified further")
	assert.Contains(t, log.String(), sub.Topic+".g")
}

func testVerifyDifferences(t *testing.T, n *brokertest.RabbitMQNode) {
	sub, missing := liveSub(t), liveSub(t)
	ch := liveChannel(t, liveRaw(t, n.URL()))
	require.NoError(t, ch.ExchangeDeclare(sub.Topic, "direct", false, true, true, false, amqp.Table{"alternate-exchange": "elsewhere"}))
	_, err := ch.QueueDeclare(sub.Topic+".g", true, false, false, false, amqp.Table{
		"x-queue-type": "classic", "x-single-active-consumer": true, "x-max-length": int32(5), "x-dead-letter-routing-key": "k",
		"x-dead-letter-exchange": "",
	})
	require.NoError(t, err)
	o := managed(t, n, liveOptions(n))
	o.Provision = rabbitmq.ProvisionVerify
	b := liveBroker(t, o)
	err = b.Declare(t.Context(), sub, missing)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "its dead-letter queue: %v", err)
	_, err = ch.QueueDeclare(sub.Topic+".g:dead", true, false, false, false, nil)
	require.NoError(t, err)
	err = b.Declare(t.Context(), sub, missing)
	for _, text := range []string{
		"the kind of the exchange", "is direct and should be topic", "durable of the exchange", "auto_delete of the exchange",
		"internal of the exchange", "the argument alternate-exchange of the exchange", "is elsewhere and should be not set",
		"the type of the queue", "is classic and should be quorum", "the argument x-max-length of the queue", "is 5 and should be not set",
		"the argument x-delivery-limit of the queue", "is not set and should be 100000", "the argument x-dead-letter-routing-key",
		"is not bound to the exchange", missing.Topic,
	} {
		assert.ErrorContains(t, err, text)
	}
	several, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%T", err)
	codes := map[leat.Code]bool{}
	for _, one := range several.Unwrap() {
		codes[leat.CodeOf(one)] = true
	}
	assert.Equal(t, map[leat.Code]bool{leat.CodeConflict: true, leat.CodeNotFound: true}, codes)
	assert.Nil(t, exchangeOf(t, n, missing.Topic), "nothing is created")
}

// testVerifyRefused: the API lets only users with a tag in, and its answers are not taken for the
// queue's.
func testVerifyRefused(t *testing.T, n *brokertest.RabbitMQNode) {
	sub := liveSub(t)
	require.NoError(t, liveBroker(t, liveOptions(n)).Declare(t.Context(), sub))
	require.NoError(t, n.AddUser(t.Context(), "untagged", "Sesame-8471"))
	require.NoError(t, n.SetPermissions(t.Context(), "untagged", "/", "", "", ""))
	o := managed(t, n, liveOptions(n))
	o.Provision, o.Credentials = rabbitmq.ProvisionVerify, login("untagged", "Sesame-8471")
	err := liveBroker(t, o).Declare(t.Context(), sub)
	assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "%v", err)
	assert.ErrorContains(t, err, "tags must include management")
	assert.NotContains(t, err.Error(), "Sesame")

	o.ManagementURL = "http://127.0.0.1:1"
	err = liveBroker(t, o).Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
	o.ManagementURL = "http://" + n.Addr() // which is no HTTP
	err = liveBroker(t, o).Declare(t.Context(), sub)
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
}

func testLag(t *testing.T, n *brokertest.RabbitMQNode) {
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	_, err := b.Lag(t.Context(), sub.Topic, sub.Group)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	_, err = b.Lag(t.Context(), "not a name", sub.Group)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	require.NoError(t, b.Declare(t.Context(), sub))
	conn := liveRaw(t, n.URL())
	ch := liveChannel(t, conn)
	for range 3 {
		require.NoError(t, ch.Publish(sub.Topic, "k", true, false, amqp.Publishing{DeliveryMode: 2}))
	}
	consuming := liveChannel(t, conn)
	require.NoError(t, consuming.Qos(1, 0, false))
	deliveries, err := consuming.Consume(sub.Topic+".g", "", false, false, false, false, nil)
	require.NoError(t, err)
	<-deliveries
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
		assert.NoError(c, err)
		assert.Equal(c, leat.Lag{
			Topic: sub.Topic, Group: sub.Group, Events: 2, AtLeast: true, Oldest: leat.LagUnknown, Parts: []leat.LagPart{{
				Name: sub.Topic + ".g", Events: 2, Details: map[string]int64{"ready": 2, "consumers": 1, "dead_letters": 0},
			}},
		}, lag)
	}, livePatience, 20*time.Millisecond)
}

// testOwnExchange: RabbitMQ's own exchanges can be topics.
func testOwnExchange(t *testing.T, n *brokertest.RabbitMQNode) {
	for _, name := range []string{"amq.topic", ""} {
		o := liveOptions(n)
		o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Name = name }
		sub := liveSub(t)
		b := liveBroker(t, o)
		require.NoError(t, b.Declare(t.Context(), sub))
		ch := liveChannel(t, liveRaw(t, n.URL()))
		require.NoError(t, ch.Publish(name, sub.Topic+".g", true, false, amqp.Publishing{DeliveryMode: 2}))
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
			assert.NoError(c, err)
			assert.EqualValues(c, 1, lag.Events)
		}, livePatience, 20*time.Millisecond)
		_, err := ch.QueueDelete(sub.Topic+".g", false, false, false)
		require.NoError(t, err)
	}
}

// testDeclareBroadcast: declaring a broadcast makes its topic, the queue comes with the stream.
func testDeclareBroadcast(t *testing.T, n *brokertest.RabbitMQNode) {
	topic := liveName(t)
	b := liveBroker(t, liveOptions(n))
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: topic, Broadcast: true}))
	assert.NotNil(t, exchangeOf(t, n, topic))
	assert.Empty(t, bindingsOf(t, n, topic))
}

// TestProvisionOff: nothing is asked, also where there is no broker.
func TestProvisionOff(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{"127.0.0.1:1"}, Provision: rabbitmq.ProvisionOff})
	require.NoError(t, b.Declare(t.Context(), liveSub(t)))
}

// TestNamesThatRabbitMQCannotHave: Leat's names are longer than those of queues.
func TestNamesThatRabbitMQCannotHave(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{"127.0.0.1:1"}})
	err := b.Declare(t.Context(), leat.Subscription{Topic: strings.Repeat("t", 249), Group: "g"})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "with :dead behind it: %v", err)
	assert.ErrorContains(t, err, "Options.Queue")
	err = b.Declare(t.Context(), leat.Subscription{Topic: "t t", Group: "g"})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	for text, o := range map[string]rabbitmq.Options{
		"no name":                {Queue: func(_ leat.Subscription, q *rabbitmq.Queue) { q.Name = "" }},
		"Arguments of the queue": {Queue: func(_ leat.Subscription, q *rabbitmq.Queue) { q.Arguments["x"] = struct{}{} }},
		"name of the exchange":   {Exchange: func(_ string, x *rabbitmq.Exchange) { x.Name = strings.Repeat("x", 256) }},
		"Arguments of the exch":  {Exchange: func(_ string, x *rabbitmq.Exchange) { x.Arguments = amqp.Table{"x": struct{}{}} }},
	} {
		o.Hosts = []string{"127.0.0.1:1"}
		err := liveBroker(t, o).Declare(t.Context(), liveSub(t))
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%s: %v", text, err)
		assert.ErrorContains(t, err, text)
	}
}
