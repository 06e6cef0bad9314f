package rabbitmq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const wirePatience = 30 * time.Second

// wireTest is a topic on a real RabbitMQ whose messages a test sees.
type wireTest struct {
	broker     *Broker
	topology   topology
	conn       *amqp.Connection
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
}

func newWire(t *testing.T, change func(o *Options)) *wireTest {
	t.Helper()
	b, err := open(t, brokertest.RabbitMQ(t))
	require.NoError(t, err)
	if change != nil {
		change(&b.o)
	}
	sub := leat.Subscription{Topic: fmt.Sprintf("wire.%d", time.Now().UnixNano()), Group: "g"}
	require.NoError(t, b.Declare(t.Context(), sub))
	w := &wireTest{broker: b}
	w.topology, err = b.topologyOf(sub)
	require.NoError(t, err)
	w.connect(t)
	return w
}

func (w *wireTest) connect(t *testing.T) {
	t.Helper()
	s, err := w.broker.o.dial(t.Context(), w.broker.o.Hosts[0], "test")
	require.NoError(t, err)
	w.conn = s.conn
	t.Cleanup(func() { _ = s.conn.Close() }) // not w.conn, which may be another by then
	w.ch, err = w.conn.Channel()
	require.NoError(t, err)
	require.NoError(t, w.ch.Confirm(false))
	w.deliveries, err = w.ch.Consume(w.topology.queue.Name, "", true, false, false, false, nil)
	require.NoError(t, err)
}

// send publishes a message, waits for its confirm and returns what is delivered.
func (w *wireTest) send(t *testing.T, p amqp.Publishing) *amqp.Delivery {
	t.Helper()
	confirm, err := w.ch.PublishWithDeferredConfirm(w.topology.exchange.Name, "k", true, false, p)
	require.NoError(t, err)
	require.True(t, confirm.Wait())
	select {
	case m := <-w.deliveries:
		return &m
	case <-time.After(wirePatience):
		t.Fatal("no message came")
		return nil
	}
}

// TestEventsCrossRabbitMQ: what is published is what is read, whatever shape it has, in both modes
// and through both types of queues.
func TestEventsCrossRabbitMQ(t *testing.T) {
	t.Parallel()
	for _, kind := range []QueueType{QueueQuorum, QueueClassic} {
		w := newWire(t, func(o *Options) { o.QueueType = kind })
		g := eventgen.New(uint64(kind))
		n := encoder{frameBytes: w.conn.Config.FrameSize}
		c := decoder{}
		for i := range 300 {
			e, err := g.Event()
			require.NoError(t, err)
			n.structured = i%2 == 1
			p, err := n.encode(e, nil)
			require.NoError(t, err)
			m := w.send(t, p)
			var d leat.Delivery
			c.decode(m, &d)
			require.Nil(t, d.Malformed, "event %d: %v", i, e)
			require.True(t, d.Event.Equal(e), "event %d:\n%v\n%v", i, d.Event, e)
			require.Equal(t, amqp.Persistent, m.DeliveryMode)
			require.GreaterOrEqual(t, sizeOf(m), e.Size())
			if kind == QueueQuorum {
				require.Equal(t, 1, deliveries(m, w.topology.quorum()))
			}
		}
	}
}

// TestForeignHeadersCrossRabbitMQ: values of every type come as the client says, and are read or
// told to be no event.
func TestForeignHeadersCrossRabbitMQ(t *testing.T) {
	t.Parallel()
	w := newWire(t, nil)
	c := decoder{}
	for _, prefix := range []string{"ce-", "cloudEvents:", "cloudEvents_", "ce_"} {
		var d leat.Delivery
		c.decode(w.send(t, amqp.Publishing{ContentType: "text/plain", Body: []byte("x"), Headers: fromAMQP10(prefix)}), &d)
		require.Nil(t, d.Malformed)
		x, _ := d.Event.Extension("cbinary")
		assert.Equal(t, "1 text/plain 2026-01-02T03:04:05Z /wA=",
			d.Event.ID()+" "+d.Event.DataContentType()+" "+d.Event.TimeString()+" "+x.(string))
	}
	for _, odd := range []any{1.5, float32(1), amqp.Decimal{Scale: 2, Value: 5}, amqp.Table{"a": []any{nil, true}}, []any{"a"}} {
		var d leat.Delivery
		c.decode(w.send(t, amqp.Publishing{Headers: minimal(amqp.Table{"ce-x": odd})}), &d)
		require.NotNil(t, d.Malformed, "%T", odd)
	}
	var d leat.Delivery
	others := amqp.Table{"x-delivery-count": int64(99), "x-death": []any{amqp.Table{}}, "n": nil}
	c.decode(w.send(t, amqp.Publishing{Headers: minimal(others)}), &d)
	require.Nil(t, d.Malformed)
}

// TestTheLargestHeadersCrossRabbitMQ: attributes that fit into a frame are headers, and those that
// do not are in the body; both arrive, and the connection stays. Headers that are written anyway
// end the connection, as what is published besides would notice.
func TestTheLargestHeadersCrossRabbitMQ(t *testing.T) {
	t.Parallel()
	w := newWire(t, nil)
	n := encoder{frameBytes: w.conn.Config.FrameSize}
	require.Equal(t, 131_072, n.frameBytes)
	c := decoder{}
	modes := map[bool]int{}
	for size := 0; size < 700; size += 5 {
		headers := []leat.Header{
			{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte("1")}, {Name: "source", Value: []byte("/s")},
			{Name: "type", Value: []byte("t")}, {Name: "a", Value: []byte(strings.Repeat("a", 64<<10))},
			{Name: "b", Value: []byte(strings.Repeat("b", 64<<10-size))},
		}
		e, err := new(leat.Decoder).Decode(headers, []byte("x"))
		require.NoError(t, err)
		p, err := n.encode(e, nil)
		require.NoError(t, err)
		modes[p.ContentType == structuredType]++
		var d leat.Delivery
		c.decode(w.send(t, p), &d)
		require.Nil(t, d.Malformed)
		require.True(t, d.Event.Equal(e))
	}
	assert.Positive(t, modes[true])
	assert.Positive(t, modes[false])

	closed := w.conn.NotifyClose(make(chan *amqp.Error, 1))
	_, err := w.ch.PublishWithDeferredConfirm(w.topology.exchange.Name, "k", true, false,
		amqp.Publishing{Headers: amqp.Table{"a": strings.Repeat("a", n.frameBytes)}})
	require.NoError(t, err)
	select {
	case amqpErr := <-closed:
		assert.Equal(t, amqp.FrameError, amqpErr.Code, "%v", amqpErr)
	case <-time.After(wirePatience):
		t.Fatal("the connection stays")
	}
}

// TestDeclaredAgain: what was deleted is there again when a stream declares it again; nothing else
// changes.
func TestDeclaredAgain(t *testing.T) {
	t.Parallel()
	w := newWire(t, nil)
	e := newEvent(t, leat.EventOptions{Data: []byte("x")})
	w.send(t, encodeOne(t, e, false))
	_, err := w.ch.QueueDelete(w.topology.queue.Name, false, false, false)
	require.NoError(t, err)
	_, err = w.ch.QueueDelete(w.topology.queue.DeadLetterQueue, false, false, false)
	require.NoError(t, err)
	require.NoError(t, w.ch.ExchangeDelete(w.topology.exchange.Name, false, false))
	w.declare(t, ProvisionVerify, leat.CodeNotFound)
	w.declare(t, ProvisionOff, leat.CodeNotFound)
	w.declare(t, ProvisionCreate, 0)
	w.declare(t, ProvisionVerify, 0)
	w.connect(t)
	w.send(t, encodeOne(t, e, false))
}

// declare declares the topology on a channel of its own.
func (w *wireTest) declare(t *testing.T, p Provision, want leat.Code) {
	t.Helper()
	ch, err := w.conn.Channel()
	require.NoError(t, err)
	err = w.topology.declare(ch, &Options{Provision: p})
	assert.Equal(t, want, leat.CodeOf(err), "%v", err)
	if err == nil {
		require.NoError(t, ch.Close())
	}
}

// TestBroadcastQueues: each generation has a queue of its own, which is exclusive and goes with its
// connection.
func TestBroadcastQueues(t *testing.T) {
	t.Parallel()
	for _, p := range []Provision{ProvisionCreate, ProvisionVerify, ProvisionOff} {
		w := newWire(t, nil)
		sub := leat.Subscription{Topic: w.topology.sub.Topic, Broadcast: true}
		var names []string
		for range 2 {
			s, err := w.broker.o.dial(t.Context(), w.broker.o.Hosts[0], "test")
			require.NoError(t, err)
			own := s.conn
			top, err := w.broker.topologyOf(sub)
			require.NoError(t, err)
			assert.Equal(t, leat.Capabilities{Order: leat.OrderPerStream, Broadcast: true, LongestHold: 25 * time.Minute},
				top.capabilities(&w.broker.o))
			ch, err := own.Channel()
			require.NoError(t, err)
			require.NoError(t, top.declare(ch, &Options{Provision: p}))
			names = append(names, top.queue.Name)
			w.send(t, encodeOne(t, newEvent(t, leat.EventOptions{}), false))
			m, ok, err := ch.Get(top.queue.Name, true)
			require.NoError(t, err)
			assert.True(t, ok, "the broadcast has what was published since")
			assert.Equal(t, "1", m.MessageId)
			other, err := w.conn.Channel()
			require.NoError(t, err)
			_, err = other.QueueDeclarePassive(top.queue.Name, false, false, true, false, nil)
			assert.Equal(t, leat.CodeConflict, codeOf(err), "another connection has no access: %v", err)
			require.NoError(t, own.Close())
		}
		assert.NotEqual(t, names[0], names[1])
		assert.True(t, strings.HasPrefix(names[0], sub.Topic+":broadcast:"))
		for _, name := range names {
			assert.EventuallyWithT(t, func(c *assert.CollectT) {
				ch, err := w.conn.Channel()
				assert.NoError(c, err)
				_, err = ch.QueueDeclarePassive(name, false, false, true, false, nil)
				assert.Equal(c, leat.CodeNotFound, codeOf(err))
			}, wirePatience, 20*time.Millisecond)
		}
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	held := 25 * time.Minute
	for name, c := range map[string]struct {
		options Options
		sub     leat.Subscription
		want    leat.Capabilities
	}{
		"quorum": {want: leat.Capabilities{
			Order: leat.OrderPerGroup, Standby: true, Durable: true, DeliveryCount: true, NativeReject: true, LongestHold: held,
		}},
		"quorum, unordered": {sub: leat.Subscription{Unordered: true},
			want: leat.Capabilities{Durable: true, DeliveryCount: true, NativeReject: true, LongestHold: held}},
		"quorum, not declared": {options: Options{Provision: ProvisionOff},
			want: leat.Capabilities{Order: leat.OrderPerGroup, Standby: true, Durable: true, DeliveryCount: true, LongestHold: held}},
		"quorum, looked at": {options: Options{Provision: ProvisionVerify},
			want: leat.Capabilities{Order: leat.OrderPerGroup, Standby: true, Durable: true, DeliveryCount: true, LongestHold: held}},
		"classic": {options: Options{QueueType: QueueClassic},
			want: leat.Capabilities{Order: leat.OrderPerGroup, Standby: true, Durable: true, LongestHold: held}},
		"dead letters that may be dropped": {
			options: Options{Queue: func(_ leat.Subscription, q *Queue) { q.Arguments[rabbit.ArgDeadHow] = "at-most-once" }},
			want:    leat.Capabilities{Order: leat.OrderPerGroup, Standby: true, Durable: true, DeliveryCount: true, LongestHold: held},
		},
		"dead letters to somewhere else": {
			options: Options{Queue: func(_ leat.Subscription, q *Queue) { q.Arguments[rabbit.ArgDeadTo] = "x" }},
			want:    leat.Capabilities{Order: leat.OrderPerGroup, Standby: true, Durable: true, DeliveryCount: true, LongestHold: held},
		},
		"a queue of somebody else": {
			options: Options{RecycleAfter: time.Minute, Queue: func(_ leat.Subscription, q *Queue) { *q = Queue{Name: "q", Existing: true} }},
			sub:     leat.Subscription{Unordered: true}, want: leat.Capabilities{LongestHold: time.Minute},
		},
	} {
		c.options.Hosts = []string{"h"}
		b, err := New(&c.options)
		require.NoError(t, err)
		c.sub.Topic, c.sub.Group = "t", "g"
		top, err := b.topologyOf(c.sub)
		require.NoError(t, err)
		assert.Equal(t, c.want, top.capabilities(&b.o), name)
	}
}

// TestEachGroupHasAQueueOfItsOwn: names of topics and groups may have dots, and be put together in
// more than one way.
func TestEachGroupHasAQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "dead", "broadcast", "a.b", "b.dead", "a.b.dead", "a.b.b", "b.b"}
	seen := map[string]string{}
	for _, topic := range names {
		for _, group := range names {
			q := (&Options{}).groupQueue(leat.Subscription{Topic: topic, Group: group})
			for _, name := range []string{q.Name, q.DeadLetterQueue} {
				assert.Empty(t, seen[name], "%s of %s and %s", name, topic, group)
				seen[name] = topic + " and " + group
			}
		}
	}
}

// TestDeadLettersGoWhereTheQueueSays: changing the queue's name or its dead-letter queue is enough.
func TestDeadLettersGoWhereTheQueueSays(t *testing.T) {
	t.Parallel()
	shared := amqp.Table{rabbit.ArgType: amqp.QueueTypeQuorum, rabbit.ArgSingle: true}
	for name, c := range map[string]struct {
		change func(q *Queue)
		queue  string
		to     any
		key    any
	}{
		"by default":          {func(*Queue) {}, "t.g:dead", "", "t.g:dead"},
		"another queue":       {func(q *Queue) { q.Name = "q" }, "t.g:dead", "", "t.g:dead"},
		"another dead letter": {func(q *Queue) { q.DeadLetterQueue = "d" }, "d", "", "d"},
		"none":                {func(q *Queue) { q.DeadLetterQueue = "" }, "", nil, nil},
		"another exchange":    {func(q *Queue) { q.Arguments[rabbit.ArgDeadTo] = "x" }, "", "x", nil},
		"own arguments":       {func(q *Queue) { q.Arguments = shared }, "t.g:dead", "", "t.g:dead"},
		"existing":            {func(q *Queue) { q.Existing = true }, "", nil, nil},
		"existing, with one":  {func(q *Queue) { q.Existing, q.DeadLetterQueue = true, "d" }, "d", nil, nil},
	} {
		b, err := New(&Options{Hosts: []string{"h"}, Queue: func(_ leat.Subscription, q *Queue) { c.change(q) }})
		require.NoError(t, err)
		top, err := b.topologyOf(leat.Subscription{Topic: "t", Group: "g"})
		require.NoError(t, err)
		q := top.queue
		got := []any{q.DeadLetterQueue, q.Arguments[rabbit.ArgDeadTo], q.Arguments[rabbit.ArgDeadKey]}
		assert.Equal(t, []any{c.queue, c.to, c.key}, got, name)
	}
	assert.Len(t, shared, 2, "the user's own table is left alone")
}
