package eventtest_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/require"
)

// exampleHarness runs the suite on the example adapter, with a proxy before each instance.
type exampleHarness struct {
	server *exampleServer
	front  *eventtest.Proxy // of the server
	topics atomic.Int64

	mu      sync.Mutex
	clients map[*exampleClient]struct{}
}

// exampleClient is an instance of the adapter behind its proxy.
type exampleClient struct {
	*broker

	proxy *eventtest.Proxy
	of    *exampleHarness
}

var (
	_ eventtest.Injector    = (*exampleHarness)(nil)
	_ eventtest.KeyInjector = (*exampleHarness)(nil)
	_ eventtest.Expirer     = (*exampleHarness)(nil)
	_ eventtest.Killer      = (*exampleHarness)(nil)
	_ eventtest.Pauser      = (*exampleHarness)(nil)
	_ eventtest.Cutter      = (*exampleHarness)(nil)
	_ eventtest.Isolator    = (*exampleHarness)(nil)
	_ eventtest.Dropper     = (*exampleHarness)(nil)
	_ eventtest.Holder      = (*exampleHarness)(nil)
	_ eventtest.LeaseTimer  = (*exampleHarness)(nil)
	_ eventtest.Stray       = (*exampleHarness)(nil)
	_ eventtest.Pacer       = (*exampleHarness)(nil)
)

// exampleTerm is for how long the server lends.
const exampleTerm = 4 * time.Second

func newExampleHarness(t *testing.T) *exampleHarness {
	t.Helper()
	server, err := startExampleServer(exampleTerm)
	require.NoError(t, err)
	front, err := eventtest.StartProxy(server.addr)
	require.NoError(t, err)
	t.Cleanup(func() {
		front.Close()
		server.kill()
	})
	return &exampleHarness{server: server, front: front, clients: map[*exampleClient]struct{}{}}
}

func (h *exampleHarness) Open(context.Context) (leat.Broker, error) {
	proxy, err := eventtest.StartProxy(h.front.Addr())
	if err != nil {
		return nil, err
	}
	b, err := newBroker(&exampleOptions{
		Hosts: []string{proxy.Addr()}, Term: exampleTerm, CloseTimeout: 5 * time.Second,
	})
	if err != nil {
		proxy.Close()
		return nil, err
	}
	c := &exampleClient{b, proxy, h}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients[c] = struct{}{}
	return c, nil
}

func (c *exampleClient) Close() error {
	err := c.broker.Close()
	c.proxy.Close()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	delete(c.of.clients, c)
	return err
}

func (h *exampleHarness) OpenNowhere(ctx context.Context) (leat.Broker, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	url := fmt.Sprintf("example://%s?term=%s&close_timeout=1s", l.Addr(), exampleTerm)
	return leat.Openers{"example": openExample}.Open(ctx, url)
}

func (h *exampleHarness) Topic() string { return fmt.Sprint("topic-", h.topics.Add(1)) }

func (h *exampleHarness) LeasePeriod() time.Duration { return exampleTerm }

func (h *exampleHarness) Pace() eventtest.Pace {
	return eventtest.Pace{Operation: time.Second, Parallel: 4}
}

// store publishes past the adapter.
func (h *exampleHarness) store(m *Message) error {
	var found []bool
	err := (&session{server: h.server}).Publish([]Message{*m}, &found)
	if err == nil && !found[0] {
		err = errNoTopic
	}
	return err
}

func (h *exampleHarness) Inject(_ context.Context, topic string, m leat.Malformed) error {
	raw := Message{Topic: brokerName(topic), Key: string(m.Key), Body: m.Body}
	for _, header := range m.Headers {
		raw.Headers = append(raw.Headers, Header{header.Name, string(header.Value)})
	}
	return h.store(&raw)
}

func (h *exampleHarness) InjectKeyed(_ context.Context, topic, key string, e leat.Event) error {
	m := encode(topic, e, nil)
	m.Key = key
	return h.store(&m)
}

func (h *exampleHarness) Expire(_ context.Context, topic, group string) error {
	h.server.expire(brokerName(topic, group))
	return nil
}

func (h *exampleHarness) Held(_ context.Context, topic, group string) (int, error) {
	var stat StatAnswer
	err := (&session{server: h.server}).Stat(brokerName(topic, group), &stat)
	return int(stat.Held), err
}

func (h *exampleHarness) Kill(context.Context) error {
	h.server.kill()
	return nil
}

func (h *exampleHarness) Start(ctx context.Context) error { return h.server.start(ctx) }

func (h *exampleHarness) Pause(context.Context) error {
	h.front.Freeze()
	return nil
}

func (h *exampleHarness) Resume(context.Context) error {
	h.front.Thaw()
	return nil
}

func (h *exampleHarness) Cut(context.Context) error {
	h.front.Cut()
	return nil
}

func (h *exampleHarness) Isolate(_ context.Context, b leat.Broker) error {
	return injure(b, func(p *eventtest.Proxy) { p.Freeze() })
}

func (h *exampleHarness) Rejoin(_ context.Context, b leat.Broker) error {
	return injure(b, (*eventtest.Proxy).Thaw)
}

func (h *exampleHarness) Drop(_ context.Context, b leat.Broker) error {
	return injure(b, func(p *eventtest.Proxy) {
		p.Refuse()
		p.Reset()
	})
}

// injure does something to the proxy of an instance.
func injure(b leat.Broker, fault func(p *eventtest.Proxy)) error {
	c, ok := b.(*exampleClient)
	if !ok {
		return fmt.Errorf("the harness has not opened this %T", b)
	}
	fault(c.proxy)
	return nil
}

func TestExampleAdapterConforms(t *testing.T) {
	h := newExampleHarness(t)
	var beside []eventtest.Harness
	for range 2 {
		beside = append(beside, newExampleHarness(t))
	}
	eventtest.TestAdapter(t, h, &eventtest.Options{Beside: beside, Rounds: 6})
}
