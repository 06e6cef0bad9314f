package interop_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/avro"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const base = "https://schemas.example.com/subjects"

// newEnforcer returns one whose type of events has a pin.
func newEnforcer(t testing.TB, r schema.Reader, pin schema.Ref, o schema.EnforcerOptions) *schema.Enforcer {
	t.Helper()
	o.Base, o.Formats = base, []schema.Format{avro.Format{}, jsonschema.Format{}, protobuf.Format{}}
	o.Pins = map[string]schema.Ref{"order.placed": pin}
	e, err := schema.NewEnforcer(r, &o)
	require.NoError(t, err)
	return e
}

// handler checks events, and does nothing else.
func handler(t testing.TB, r schema.Reader, pin schema.Ref, o schema.EnforcerOptions) leat.Handler {
	t.Helper()
	return newEnforcer(t, r, pin, o).Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }))
}

func event(t testing.TB, data string) leat.Event {
	t.Helper()
	return typed(t, "JSON", data)
}

// typed returns an event with the content type of a format.
func typed(t testing.TB, format, data string) leat.Event {
	t.Helper()
	kind := "application/" + strings.ToLower(format)
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{Source: "/test", DataContentType: kind, Data: []byte(data)})
	require.NoError(t, err)
	return e
}

// service is a consumer, and what it has handled.
type service struct {
	mu     sync.Mutex
	events map[string]leat.Event // by ID
}

// refused is a poison queue that is meant to stay empty.
type refused struct {
	mu      sync.Mutex
	reasons []string
}

func (r *refused) Poison(_ context.Context, p leat.Poisoned) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = append(r.reasons, p.Reason.Error())
	return nil
}

func (r *refused) Topic(leat.Subscription) string { return "" }

// consume runs a consumer until the test ends, which nothing may poison.
func consume(t *testing.T, broker leat.Broker, topic, group string, e *schema.Enforcer) *service {
	t.Helper()
	s := &service{events: map[string]leat.Event{}}
	add := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events[e.ID()] = e
		return nil
	})
	var poisoned refused
	c := leat.NewConsumer(broker, leat.Subscription{Topic: topic, Group: group}, add, &leat.ConsumerOptions{
		Middleware: []leat.Middleware{e.Process()}, PoisonQueue: &poisoned,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- leat.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-over)
		assert.Empty(t, poisoned.reasons)
	})
	return s
}

// await waits until n events were handled.
func (s *service) await(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return s.count() == n }, 2*brokertest.Patience, 10*time.Millisecond, "%d events", n)
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// TestOutage: one service knows the schemas, and another one starts while the registry is down.
func TestOutage(t *testing.T) {
	t.Parallel()
	apicurio := brokertest.StartApicurio(t)
	r := open(t, apicurio.URL(), confluent.Options{})
	pin := r.register(t, "orders", schema.Definition{Format: "JSON", Text: jsonOrder}).Ref
	warm, cold := newEnforcer(t, r, pin, schema.EnforcerOptions{}), newEnforcer(t, r, pin, schema.EnforcerOptions{})
	require.NoError(t, warm.Warm(t.Context()))
	broker := memory.New(nil)
	t.Cleanup(func() { assert.NoError(t, broker.Close()) })
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{warm.Publish()}})
	known, late := consume(t, broker, "orders", "known", warm), consume(t, broker, "orders", "late", cold)
	apicurio.Kill() // it has written the schema
	const n = 100
	for i := range n {
		require.NoError(t, producer.Publish(t.Context(), "orders", event(t, `{"id":"o-1","total":`+strconv.Itoa(i)+`}`)))
	}
	known.await(t, n)
	assert.Zero(t, late.count())
	hasCode(t, newEnforcer(t, r, pin, schema.EnforcerOptions{}).Warm(t.Context()), leat.CodeUnavailable, "cannot be reached")
	require.NoError(t, apicurio.Start(t.Context()))
	late.await(t, n)
}

// TestSilence: a registry that takes connections and does not answer is unavailable, and what is
// cached is there.
func TestSilence(t *testing.T) {
	t.Parallel()
	apicurio := brokertest.StartApicurio(t)
	r, hasty := open(t, apicurio.URL(), confluent.Options{}), open(t, apicurio.URL(), confluent.Options{Timeout: 2 * time.Second})
	pin := r.register(t, "orders", schema.Definition{Format: "JSON", Text: jsonOrder}).Ref
	r.register(t, "orders", schema.Definition{Format: "JSON", Text: strings.Replace(jsonOrder, "Order", "Sale", 1)})
	cached, err := schema.Cached(hasty, nil)
	require.NoError(t, err)
	var one *schema.Schema
	require.Eventually(t, func() bool { one, err = cached.ByRef(t.Context(), pin); return err == nil }, brokertest.Patience, time.Second)
	require.NoError(t, apicurio.Pause())
	again, err := cached.ByRef(t.Context(), pin)
	require.NoError(t, err)
	assert.Equal(t, one, again)
	began := time.Now()
	_, err = cached.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 2})
	hasCode(t, err, leat.CodeUnavailable, "cannot be reached")
	assert.Less(t, time.Since(began), brokertest.Patience)
	h := handler(t, hasty, pin, schema.EnforcerOptions{})
	assert.True(t, leat.IsPaused(h.Handle(t.Context(), event(t, `{"id":"o-1","total":7}`))))
	require.NoError(t, apicurio.Resume())
	require.Eventually(t, func() bool { return h.Handle(t.Context(), event(t, `{"id":"o-1","total":7}`)) == nil },
		brokertest.Patience, 100*time.Millisecond)
	_, err = r.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 2})
	require.NoError(t, err)
}
