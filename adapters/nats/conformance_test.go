package nats_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/conformance/committed"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	_ eventtest.Injector    = (*harness)(nil)
	_ eventtest.KeyInjector = (*harness)(nil)
	_ eventtest.Malformer   = (*harness)(nil)
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

// harness runs the suite on a NATS of its own, with a proxy before each instance of the adapter.
type harness struct {
	brokertest.Clients

	server  *brokertest.NATSCluster
	topics  atomic.Int64
	options nats.Options
}

// ackWait is how long a lease lasts in the suite.
const ackWait = 3 * time.Second

// keyHeader is where the harness's broker has the key of messages whose events have none.
const keyHeader = "X-Key"

func newHarness(t *testing.T) *harness {
	t.Helper()
	return &harness{server: brokertest.StartNATS(t, nil), options: nats.Options{
		AckWait: ackWait, PinnedTTL: 2 * time.Second, CloseTimeout: 5 * time.Second, KeyHeader: keyHeader,
	}}
}

func (h *harness) Open(context.Context) (leat.Broker, error) {
	return h.Via(h.server.Addr(), func(p *eventtest.Proxy) (brokertest.Adapter, error) {
		o := h.options
		o.Hosts = []string{p.Addr()}
		return nats.New(&o)
	})
}

func (h *harness) OpenNowhere(context.Context) (leat.Broker, error) {
	p, err := eventtest.StartProxy(h.server.Addr())
	if err != nil {
		return nil, err
	}
	p.Close() // nobody listens there any more
	o := h.options
	o.Hosts, o.CloseTimeout = []string{p.Addr()}, time.Second
	return nats.New(&o)
}

// LeasePeriod is the AckWait.
func (h *harness) LeasePeriod() time.Duration { return h.options.AckWait }

func (h *harness) Topic() string { return fmt.Sprintf("topic.%d", h.topics.Add(1)) }

func serverName(of string) string { return adapterkit.Names{MaxBytes: 255}.Name(of) }

// with calls f with a client that does not go through the adapter.
func (h *harness) with(ctx context.Context, f func(js jetstream.JetStream) error) error {
	nc, err := client.Connect("nats://" + h.server.Addr())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f(js)
}

func (h *harness) Inject(ctx context.Context, topic string, m leat.Malformed) error {
	msg := client.NewMsg("leat." + serverName(topic))
	msg.Data = m.Body
	for _, header := range m.Headers {
		msg.Header[header.Name] = append(msg.Header[header.Name], string(header.Value))
	}
	return h.with(ctx, func(js jetstream.JetStream) error {
		_, err := js.PublishMsg(ctx, msg)
		return err
	})
}

// Malformed returns a message with bytes that no header takes. It has no key: only messages of
// others have one, in a header.
func (h *harness) Malformed(n int) leat.Malformed {
	return leat.Malformed{Body: fmt.Appendf(nil, "{\"no\": cloud event %d\xff\x00}", n)}
}

func (h *harness) InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error {
	m := leat.Malformed{Body: e.Data()}
	for name, value := range e.Attributes() {
		m.Headers = append(m.Headers, leat.Header{Name: "ce-" + name, Value: []byte(percent(value))})
	}
	if key != "" {
		m.Headers = append(m.Headers, leat.Header{Name: keyHeader, Value: []byte(key)})
	}
	return h.Inject(ctx, topic, m)
}

// percent encodes what a header does not take.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' && c != '"' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Expire takes the pin of the group away.
func (h *harness) Expire(ctx context.Context, topic, group string) error {
	return h.with(ctx, func(js jetstream.JetStream) error {
		s, err := js.Stream(ctx, serverName(topic))
		if err != nil {
			return err
		}
		return s.UnpinConsumer(ctx, serverName(group), "leat")
	})
}

// Held returns what the broker has delivered to the group and not seen settled.
func (h *harness) Held(ctx context.Context, topic, group string) (n int, err error) {
	err = h.with(ctx, func(js jetstream.JetStream) error {
		c, err := js.Consumer(ctx, serverName(topic), serverName(group))
		if err == nil {
			n = c.CachedInfo().NumAckPending
		}
		return err
	})
	return n, err
}

func (h *harness) Kill(context.Context) error {
	h.server.Kill()
	return nil
}

func (h *harness) Start(ctx context.Context) error { return h.server.Start(ctx) }

func (h *harness) Pause(context.Context) error { return h.server.Pause() }

func (h *harness) Resume(context.Context) error { return h.server.Resume() }

func (h *harness) Pace() eventtest.Pace {
	return eventtest.Pace{Patience: 30 * time.Second, Quiet: 300 * time.Millisecond, Operation: 500 * time.Millisecond, Parallel: 4}
}

// suiteOptions makes the suite inject each fault 20 times in a long run, kills of the broker
// included.
func suiteOptions(t *testing.T) *eventtest.Options {
	t.Helper()
	o := &eventtest.Options{Beside: []eventtest.Harness{newHarness(t)}}
	if brokertest.Long() {
		o.Rounds, o.CaseTimeout = 20, 10*time.Minute
	}
	return o
}

func TestNATSConforms(t *testing.T) {
	report := eventtest.TestAdapter(t, newHarness(t), suiteOptions(t))
	report.Adapter, report.Broker = "nats", "NATS "+brokertest.NATSVersion
	committed.Check(t, filepath.Join("..", "..", "docs"), &report)
}
