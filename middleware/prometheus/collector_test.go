package leatprometheus_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	leatprometheus "github.com/leatgo/leat/middleware/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden file")

var orders = leat.Subscription{Topic: "orders", Group: "billing"}

// bench is a broker with metrics, and a producer.
type bench struct {
	t        *testing.T
	broker   *memory.Broker
	metrics  *leatprometheus.Metrics
	producer *leat.Producer
	registry *prometheus.Registry
}

func newBench(t *testing.T, o *leatprometheus.Options) *bench {
	t.Helper()
	b := &bench{t: t, broker: memory.New(nil), registry: prometheus.NewPedanticRegistry()}
	var err error
	b.metrics, err = leatprometheus.New(b.broker, o)
	require.NoError(t, err)
	require.NoError(t, b.registry.Register(b.metrics))
	b.producer = leat.NewProducer(b.broker, &leat.ProducerOptions{
		Source: "/test", Middleware: []leat.PublishMiddleware{b.metrics.Publish()},
	})
	b.metrics.WatchProducers(b.producer)
	require.NoError(t, leat.Declare(t.Context(), b.broker, orders))
	t.Cleanup(func() {
		require.NoError(t, b.metrics.Close())
		require.NoError(t, b.broker.Close())
	})
	return b
}

func (b *bench) event(id, eventType string) leat.Event {
	b.t.Helper()
	e, err := leat.NewEvent(eventType, &leat.EventOptions{ID: id})
	require.NoError(b.t, err)
	return e
}

// consume handles what is there.
func (b *bench) consume(h leat.Handler) *leat.Consumer {
	b.t.Helper()
	c := leat.NewConsumer(b.broker, orders, h, &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{b.metrics.Process(), middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: 1})},
		PoisonQueue: middleware.PoisonQueue(b.producer, nil),
	})
	b.metrics.Watch(c)
	require.NoError(b.t, leat.RunUntilIdle(b.t.Context(), 50*time.Millisecond, c))
	return c
}

func TestWhatIsCounted(t *testing.T) {
	b := newBench(t, nil)
	require.NoError(t, b.producer.Publish(t.Context(), "orders", b.event("1", "placed"), b.event("2", "failing"), b.event("3", "surprise")))
	require.Error(t, b.producer.Publish(t.Context(), "orders", leat.Event{}))
	b.consume(leat.NewRouter(
		leat.Route{Type: "placed", Handler: leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })},
		leat.Route{Type: "failing", Handler: leat.HandlerFunc(func(context.Context, leat.Event) error { return os.ErrDeadlineExceeded })},
	))
	for name, want := range map[string]string{
		"leat_consumer_handled_total": `
			# HELP leat_consumer_handled_total Events that a handler handled.
			# TYPE leat_consumer_handled_total counter
			leat_consumer_handled_total{GROUP} 1
			`,
		"leat_consumer_poisoned_total": `
			# HELP leat_consumer_poisoned_total Events that went to the poison queue.
			# TYPE leat_consumer_poisoned_total counter
			leat_consumer_poisoned_total{cloudevents_event_type="failing",leat_poison_reason="exhausted",GROUP} 1
			`,
		"leat_publish_outcomes_total": `
			# HELP leat_publish_outcomes_total Published events: stored, refused or unknown.
			# TYPE leat_publish_outcomes_total counter
			leat_publish_outcomes_total{leat_publish_outcome="refused",messaging_system="leat_memory"} 1
			leat_publish_outcomes_total{leat_publish_outcome="stored",messaging_system="leat_memory"} 4
			leat_publish_outcomes_total{leat_publish_outcome="unknown",messaging_system="leat_memory"} 0
			`,
		"leat_poison_lag": `
			# HELP leat_poison_lag Events in the poison queue that nobody has settled.
			# TYPE leat_poison_lag gauge
			leat_poison_lag{GROUP} 1
			`,
	} {
		require.NoError(t, compare(b.registry, want, name))
	}
	problems, err := testutil.GatherAndLint(b.registry)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// TestNames holds the names, the types and the labels that dashboards rely on.
func TestNames(t *testing.T) {
	b := newBench(t, nil)
	require.NoError(t, b.producer.Publish(t.Context(), "orders", b.event("1", "placed"), b.event("2", "bad"), b.event("3", "failing")))
	b.consume(leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		switch e.Type() {
		case "bad":
			return leat.Reject(errors.New("no"))
		case "failing":
			return errors.New("again")
		}
		return nil
	}))
	families, err := b.registry.Gather()
	require.NoError(t, err)
	var text strings.Builder
	for _, f := range families {
		labels := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		fmt.Fprintln(&text, f.GetName(), strings.ToLower(f.GetType().String()), slices.Sorted(maps.Keys(labels)))
	}
	const golden = "testdata/names.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), text.String(), "go test -update writes it anew")
}

func compare(g prometheus.Gatherer, want, name string) error {
	const group = `messaging_consumer_group_name="billing",messaging_destination_name="orders",messaging_system="leat_memory"`
	return testutil.GatherAndCompare(g, strings.NewReader(strings.ReplaceAll(want, "GROUP", group)), name)
}
