package rabbitmq_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/conformance/committed"
	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	_ eventtest.Injector    = (*harness)(nil)
	_ eventtest.KeyInjector = (*harness)(nil)
	_ eventtest.Expirer     = (*harness)(nil)
	_ eventtest.Killer      = (*harness)(nil)
	_ eventtest.Pauser      = (*harness)(nil)
	_ eventtest.Cutter      = (*harness)(nil)
	_ eventtest.Isolator    = (*harness)(nil)
	_ eventtest.Dropper     = (*harness)(nil)
	_ eventtest.Holder      = (*harness)(nil)
	_ eventtest.Pacer       = (*harness)(nil)
	_ eventtest.Stray       = (*harness)(nil)
	_ eventtest.LeaseTimer  = (*harness)(nil)
)

// harness runs the suite on a RabbitMQ of its own, with a proxy before each instance of the
// adapter.
type harness struct {
	brokertest.Clients

	t       *testing.T
	node    *brokertest.RabbitMQNode
	topics  atomic.Int64
	options rabbitmq.Options
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, node: brokertest.StartRabbitMQ(t, nil)}
	h.options = rabbitmq.Options{CloseTimeout: 5 * time.Second, Heartbeat: heartbeat, KeyFrom: "header:" + keyHeader}
	return h
}

func (h *harness) Open(context.Context) (leat.Broker, error) {
	return h.Via(h.node.Addr(), func(p *eventtest.Proxy) (brokertest.Adapter, error) {
		o := h.options
		o.Hosts = []string{p.Addr()}
		return rabbitmq.New(&o)
	})
}

func (h *harness) OpenNowhere(context.Context) (leat.Broker, error) {
	o := h.options
	addr := vacant(h.t)
	o.Hosts, o.CloseTimeout = []string{addr}, time.Second
	return rabbitmq.New(&o)
}

// heartbeat is what the harness's clients agree on with the broker. A client gives up a connection
// that was silent for one and a half times as long, and a lease when nothing was answered for 1.8
// times as long.
const heartbeat = 4 * time.Second

// LeasePeriod is how long RabbitMQ bears a silent client at least: it looks every heartbeat, and
// ends the connection when it has seen nothing new twice.
func (h *harness) LeasePeriod() time.Duration { return 2 * heartbeat }

func (h *harness) Topic() string { return fmt.Sprintf("topic-%d", h.topics.Add(1)) }

// keyHeader is where the harness's broker has the key of messages whose events have none.
const keyHeader = "x-key"

func (h *harness) Inject(ctx context.Context, topic string, m leat.Malformed) error {
	headers := amqp.Table{}
	for _, header := range m.Headers {
		headers[header.Name] = header.Value
	}
	return h.publish(ctx, topic, string(m.Key), amqp.Publishing{Headers: headers, Body: m.Body})
}

func (h *harness) InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error {
	m := amqp.Publishing{Headers: amqp.Table{}, Body: e.Data()}
	for name, value := range e.Attributes() {
		m.Headers["ce-"+name] = value
	}
	if key != "" {
		m.Headers[keyHeader] = key
	}
	return h.publish(ctx, topic, "", m)
}

// publish publishes a message past the adapter.
func (h *harness) publish(ctx context.Context, topic, routingKey string, m amqp.Publishing) error {
	conn, err := amqp.DialConfig(h.node.URL(), amqp.Config{Dial: func(network, addr string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it is done with
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	answer, err := ch.PublishWithDeferredConfirm(topic, routingKey, true, false, m)
	if err != nil {
		return err
	}
	_, err = answer.WaitContext(ctx)
	return err
}

// Expire closes the connections of the group's consumers.
func (h *harness) Expire(ctx context.Context, topic, group string) error {
	_, err := h.node.Eval(ctx, strings.NewReplacer("QUEUE", topic+"."+group).Replace(`
		{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"QUEUE">>)),
		[begin
			[{connection, Connection}] = rabbit_channel:info(element(1, Consumer), [connection]),
			rabbit_networking:close_connection(Connection, "expired")
		end || Consumer <- rabbit_amqqueue:consumers(Q)]`))
	return err
}

// Held returns what the broker has sent from the group's queue and not seen acknowledged.
func (h *harness) Held(ctx context.Context, topic, group string) (int, error) {
	q, err := h.node.Queue(ctx, "/", topic+"."+group)
	if err == nil && q.Down != "" {
		err = fmt.Errorf("the figures of the queue %s are not known: %s", q.Name, q.Down)
	}
	return q.Unacked, err
}

// Kill kills the node, past a defect of RabbitMQ that is described at Sync.
func (h *harness) Kill(ctx context.Context) error {
	if err := h.node.Sync(ctx); err != nil {
		return err
	}
	h.node.Kill()
	return nil
}

func (h *harness) Start(ctx context.Context) error { return h.node.Start(ctx) }

func (h *harness) Pause(context.Context) error { return h.node.Pause() }

func (h *harness) Resume(context.Context) error { return h.node.Resume() }

// Pace says what RabbitMQ takes: a killed node is back after some seconds, and a quorum queue takes
// some 50 ms to declare.
func (h *harness) Pace() eventtest.Pace {
	return eventtest.Pace{Patience: 30 * time.Second, Quiet: 300 * time.Millisecond, Operation: 2 * time.Second, Parallel: 4}
}

// suiteOptions spreads the cases over two brokers, and makes the suite inject each fault 20 times
// in a long run, kills of the broker included.
func suiteOptions(t *testing.T) *eventtest.Options {
	t.Helper()
	o := &eventtest.Options{Beside: []eventtest.Harness{newHarness(t)}}
	if brokertest.Long() {
		o.Rounds, o.CaseTimeout = 20, 10*time.Minute
	}
	return o
}

func TestRabbitMQConforms(t *testing.T) {
	h := newHarness(t)
	report := eventtest.TestAdapter(t, h, suiteOptions(t))
	report.Adapter, report.Broker = "rabbitmq", "RabbitMQ "+h.node.Version()
	committed.Check(t, filepath.Join("..", "..", "docs"), &report)
}
