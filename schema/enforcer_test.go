package schema_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const base = "https://schemas.example.com/subjects"

func newEnforcer(t testing.TB, r schema.Reader, o *schema.EnforcerOptions) *schema.Enforcer {
	t.Helper()
	o.Formats, o.Base = []schema.Format{length{}}, base
	e, err := schema.NewEnforcer(r, o)
	require.NoError(t, err)
	return e
}

// orders is a registry with orders/1, of at most 10 bytes, and orders/2, of at most 20.
func orders(t testing.TB) *schema.Memory {
	t.Helper()
	m := newMemory(t, schema.Backward)
	for _, s := range []string{"10", "20"} {
		_, err := m.Register(context.Background(), "orders", text(s))
		require.NoError(t, err)
	}
	return m
}

func pinned(version int) map[string]schema.Ref {
	return map[string]schema.Ref{"order.placed": {Subject: "orders", Version: version}}
}

func event(t testing.TB, id, data string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: id, Source: "/test", DataContentType: "text/plain", Data: []byte(data)})
	require.NoError(t, err)
	return e
}

// publish sends events through the middleware, and returns those that came out and the outcomes.
func publish(t testing.TB, e *schema.Enforcer, events ...leat.Event) (sent []leat.Event, outcomes []error) {
	t.Helper()
	outcomes = make([]error, len(events))
	told := make([]int, len(events))
	next := func(_ context.Context, topic string, events []leat.Event, done func(i int, err error)) {
		assert.Equal(t, "orders", topic)
		for i, e := range events {
			sent = append(sent, e)
			done(i, nil)
		}
	}
	e.Publish()(next)(context.Background(), "orders", events, func(i int, err error) {
		outcomes[i] = err
		told[i]++
	})
	for i, n := range told {
		assert.Equal(t, 1, n, "outcomes of event %d", i)
	}
	return sent, outcomes
}

func ids(events []leat.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.ID())
	}
	return all
}

func TestPublish(t *testing.T) {
	e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Pins: pinned(1)})
	require.NoError(t, e.Warm(t.Context()))
	long := strings.Repeat("x", 15)
	events := []leat.Event{
		event(t, "1", "ok"), event(t, "2", long), event(t, "3", "ok").WithType("other"),
		event(t, "4", long).WithDataSchema(base + "/orders/versions/2"), event(t, "5", long), event(t, "6", "ok"),
		event(t, "7", "ok").WithDataSchema("https://elsewhere.example.com/1"),
		event(t, "8", "ok").WithDataSchema(base + "/invoices/versions/1"),
		event(t, "9", "ok").WithDataSchema(base + "/orders/versions/9"),
	}
	before := append([]leat.Event{}, events...)
	sent, outcomes := publish(t, e, events...)
	assert.Equal(t, []string{"1", "3", "4", "6", "7"}, ids(sent))
	for i := range events {
		assert.True(t, before[i].Equal(events[i]), "the caller's events stay as they are")
	}
	first, second := base+"/orders/versions/1", base+"/orders/versions/2"
	for i, own := range []string{first, "", second, first, "https://elsewhere.example.com/1"} {
		assert.Equal(t, own, sent[i].DataSchema())
	}
	for _, i := range []int{0, 2, 3, 5, 6} {
		assert.NoError(t, outcomes[i])
	}
	hasCode(t, outcomes[1], leat.CodeInvalid, "the data does not match schema orders/1: longer than 10")
	hasCode(t, outcomes[4], leat.CodeInvalid)
	hasCode(t, outcomes[7], leat.CodeInvalid, "its dataschema names invoices/1, but the subject of its type is orders")
	hasCode(t, outcomes[8], leat.CodeNotFound, "schema orders/9", `subject "orders" has no version 9`)
	own, ok := errors.AsType[*leat.Error](outcomes[1])
	require.True(t, ok)
	assert.Equal(t, "2", own.EventID)
	assert.Equal(t, "orders", own.Topic)

	none, err := leat.NewEvent("order.placed", &leat.EventOptions{Source: "/test"})
	require.NoError(t, err)
	_, outcomes = publish(t, e, none)
	hasCode(t, outcomes[0], leat.CodeInvalid, "the event has no data")
}

func TestUnpinned(t *testing.T) {
	e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Unpinned: schema.Refuse})
	sent, outcomes := publish(t, e, event(t, "1", "ok"), event(t, "2", "ok").WithDataSchema(base+"/orders/versions/1"))
	assert.Equal(t, []string{"2"}, ids(sent))
	hasCode(t, outcomes[0], leat.CodeInvalid, "its type has no pin, and its dataschema names no schema")
}

// What is on its way to a poison queue is not checked, or it could never get there.
func TestPoisonedPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		defer func() { require.NoError(t, broker.Close()) }()
		e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Pins: pinned(1), Unpinned: schema.Refuse})
		checked := leat.NewProducer(broker, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{e.Publish()}})
		plain := leat.NewProducer(broker, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var handled atomic.Int64
		over := make(chan error, 1)
		go func() {
			over <- leat.Run(ctx, leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "g"},
				leat.HandlerFunc(func(context.Context, leat.Event) error { handled.Add(1); return nil }),
				&leat.ConsumerOptions{Middleware: []leat.Middleware{e.Process()}, PoisonQueue: middleware.PoisonQueue(checked, nil)}))
		}()
		synctest.Wait()
		require.NoError(t, plain.Publish(ctx, "orders", event(t, "1", strings.Repeat("x", 15)), event(t, "2", "ok")))
		synctest.Wait()
		assert.EqualValues(t, 1, handled.Load())
		assert.Equal(t, []string{"1"}, poisoned(t, broker))
		cancel()
		require.NoError(t, <-over)
	})
}

// poisoned returns what is in the poison queue.
func poisoned(t testing.TB, broker *memory.Broker) (all []string) {
	t.Helper()
	queue := leat.Subscription{Topic: leat.PoisonTopic("orders", "g"), Group: leat.ReplayGroup}
	err := broker.Browse(t.Context(), queue, func(d *leat.Delivery) bool {
		all = append(all, d.Event.ID())
		return true
	})
	if leat.CodeOf(err) != leat.CodeNotFound {
		require.NoError(t, err)
	}
	return all
}

func process(e *schema.Enforcer, event leat.Event) (handled bool, err error) {
	h := e.Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { handled = true; return nil }))
	return handled, h.Handle(context.Background(), event)
}

func TestProcess(t *testing.T) {
	long := strings.Repeat("x", 15)
	down := false
	registry := orders(t)
	flaky := readerFunc(func(r schema.Ref) (*schema.Schema, error) {
		if down {
			return nil, &leat.Error{Op: "find schema", Code: leat.CodeUnavailable, Err: errors.New("no connection")}
		}
		return registry.ByRef(context.Background(), r)
	})
	e := newEnforcer(t, flaky, &schema.EnforcerOptions{Pins: pinned(1), Trust: []string{"/trusted", "/many/"}})
	for _, c := range []struct {
		name  string
		event leat.Event
		want  string // "" is handled
	}{
		{"matches", event(t, "1", "ok"), ""},
		{"does not match", event(t, "1", long), "the data does not match schema orders/1: longer than 10"},
		{"the writer's version", event(t, "1", long).WithDataSchema(base + "/orders/versions/2"), ""},
		{"a version that does not exist", event(t, "1", "ok").WithDataSchema(base + "/orders/versions/3"), `subject "orders" has no version 3`},
		{"another subject", event(t, "1", "ok").WithDataSchema(base + "/x/versions/1"), "the subject of its type is orders"},
		{"no version", event(t, "1", long).WithDataSchema(base + "/orders/versions/latest"), "longer than 10"},
		{"trusted", event(t, "1", long).WithSource("/trusted"), ""},
		{"not trusted", event(t, "1", long).WithSource("/trusted/not"), "longer than 10"},
		{"one of many", event(t, "1", long).WithSource("/many/1"), ""},
		{"no pin", event(t, "1", long).WithType("other"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			handled, err := process(e, c.event)
			assert.Equal(t, c.want == "", handled)
			if c.want != "" {
				assert.ErrorContains(t, err, c.want)
				assert.True(t, leat.IsRejected(err), "%v", err)
				assert.NotContains(t, err.Error(), long)
			}
		})
	}
	down = true
	handled, err := process(e, event(t, "1", "ok"))
	assert.True(t, handled, "a schema that is known is not asked for again")
	assert.NoError(t, err)
	handled, err = process(e, event(t, "1", "ok").WithType("other").WithDataSchema(base+"/other/versions/1"))
	assert.False(t, handled)
	assert.True(t, leat.IsPaused(err), "%v", err)
	assert.ErrorContains(t, err, "no connection")
}

// While the registry is down for ten minutes, a cold consumer waits, and goes on by itself: nothing
// is poisoned or lost.
func TestColdConsumerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := orders(t)
		var calls atomic.Int64
		up := time.Now().Add(10 * time.Minute)
		flaky := readerFunc(func(r schema.Ref) (*schema.Schema, error) {
			calls.Add(1)
			if time.Now().Before(up) {
				return nil, &leat.Error{Op: "find schema", Code: leat.CodeUnavailable, Err: errors.New("no connection")}
			}
			return registry.ByRef(context.Background(), r)
		})
		broker := memory.New(nil)
		defer func() { require.NoError(t, broker.Close()) }()
		e := newEnforcer(t, flaky, &schema.EnforcerOptions{Pins: pinned(1)})
		producer := leat.NewProducer(broker, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var handled atomic.Int64
		over := make(chan error, 1)
		go func() {
			over <- leat.Run(ctx, leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "g"},
				leat.HandlerFunc(func(context.Context, leat.Event) error { handled.Add(1); return nil }),
				&leat.ConsumerOptions{Middleware: []leat.Middleware{e.Process()}, PoisonQueue: middleware.PoisonQueue(producer, nil)}))
		}()
		synctest.Wait()
		for i := range 100 {
			require.NoError(t, producer.Publish(ctx, "orders", event(t, fmt.Sprint(i), "ok")))
		}
		time.Sleep(9 * time.Minute)
		assert.Zero(t, handled.Load())
		assert.LessOrEqual(t, calls.Load(), int64(9*60+10), "the registry is asked once a second at most")
		time.Sleep(2 * time.Minute)
		assert.EqualValues(t, 100, handled.Load())
		assert.Empty(t, poisoned(t, broker))
		cancel()
		require.NoError(t, <-over)
	})
}

func TestSample(t *testing.T) {
	e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Pins: pinned(1), Sample: 0.25})
	refused := 0
	for range 4_000 {
		if handled, _ := process(e, event(t, "1", strings.Repeat("x", 15))); !handled {
			refused++
		}
	}
	assert.InDelta(t, 1_000, refused, 200)
	_, outcomes := publish(t, e, event(t, "1", strings.Repeat("x", 15)))
	hasCode(t, outcomes[0], leat.CodeInvalid)
}

func TestWarm(t *testing.T) {
	e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Pins: map[string]schema.Ref{
		"a": {Subject: "orders", Version: 7}, "b": {Subject: "invoices", Version: 1}, "c": {Subject: "orders", Version: 1},
	}})
	hasCode(t, e.Warm(t.Context()), leat.CodeNotFound, "schema orders/7", "schema invoices/1")
}

func TestEnforcerMistakes(t *testing.T) {
	ok := schema.EnforcerOptions{Formats: []schema.Format{length{}}, Base: base}
	noVersion := map[string]schema.Ref{"a": {Subject: "s"}}
	for _, c := range []struct {
		want   string
		change func(o *schema.EnforcerOptions)
	}{
		{"EnforcerOptions.Formats is empty", func(o *schema.EnforcerOptions) { o.Formats = nil }},
		{"EnforcerOptions.Base is not an absolute URI", func(o *schema.EnforcerOptions) { o.Base = "/subjects" }},
		{"EnforcerOptions.Base is not an absolute URI", func(o *schema.EnforcerOptions) { o.Base = "https://u:p@example.com" }},
		{"EnforcerOptions.Sample is out of its range", func(o *schema.EnforcerOptions) { o.Sample = 2 }},
		{"EnforcerOptions.Unpinned is out of its range", func(o *schema.EnforcerOptions) { o.Unpinned = 7 }},
		{"EnforcerOptions.Trust has an empty source", func(o *schema.EnforcerOptions) { o.Trust = []string{""} }},
		{`Pins of type "a": the version of subject "s" is 0`, func(o *schema.EnforcerOptions) { o.Pins = noVersion }},
		{"EnforcerOptions.Timeout is out of its range", func(o *schema.EnforcerOptions) { o.Timeout = -1 }},
		{"EnforcerOptions.CacheBytes is out of its range", func(o *schema.EnforcerOptions) { o.CacheBytes = -1 }},
	} {
		o := ok
		c.change(&o)
		_, err := schema.NewEnforcer(orders(t), &o)
		hasCode(t, err, leat.CodeInvalid, c.want)
		assert.NotContains(t, err.Error(), "u:p")
	}
	_, err := schema.NewEnforcer(nil, &ok)
	hasCode(t, err, leat.CodeInvalid, "the Reader is nil")
	_, err = schema.NewEnforcer(orders(t), nil)
	hasCode(t, err, leat.CodeInvalid)
}

// A consumer whose schemas are files may be older than a producer. It handles the events that it
// can read, and waits with the others, key by key, for its update.
func TestNewerThanTheFiles(t *testing.T) {
	for name, needsWriter := range map[string]bool{"can be read": false, "needs the writer's schema": true} {
		t.Run(name, func(t *testing.T) {
			var format schema.Format = length{}
			if needsWriter {
				format = converting{}
			}
			registry, err := schema.FromFS(files("orders/1.len", "10"), format)
			require.NoError(t, err)
			e, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{Formats: []schema.Format{format}, Base: base, Pins: pinned(1)})
			require.NoError(t, err)
			newer := event(t, "1", strings.Repeat("x", 15)).WithDataSchema(base + "/orders/versions/2")
			handled, err := process(e, newer)
			if needsWriter {
				assert.False(t, handled)
				assert.True(t, leat.IsPostponed(err), "%v", err)
				assert.ErrorContains(t, err, "if it is newer than the files, update them")
			} else {
				assert.True(t, handled)
				assert.NoError(t, err)
			}
			handled, err = process(e, newer.WithType("other"))
			assert.False(t, handled)
			assert.True(t, leat.IsRejected(err), "a type without a pin says nothing about this service")
			_, outcomes := publish(t, e, newer)
			hasCode(t, outcomes[0], leat.CodeNotFound)
		})
	}
}

// converting is a language whose data needs the writer's schema.
type converting struct{ length }

func (converting) Convert(_, _ schema.Bundle) (func(contentType, data string) ([]byte, error), error) {
	return func(contentType, data string) ([]byte, error) { return []byte(contentType + data), nil }, nil
}

func TestConversion(t *testing.T) {
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{converting{}}, Level: schema.None})
	require.NoError(t, err)
	for _, s := range []string{"10", "20"} {
		_, err := m.Register(t.Context(), "orders", text(s))
		require.NoError(t, err)
	}
	e, err := schema.NewEnforcer(m, &schema.EnforcerOptions{
		Formats: []schema.Format{converting{}}, Base: base, Pins: pinned(2), Trust: []string{"/test"},
	})
	require.NoError(t, err)
	var got leat.Event
	h := e.Process()(leat.HandlerFunc(func(_ context.Context, e leat.Event) error { got = e; return nil }))
	require.NoError(t, h.Handle(t.Context(), event(t, "1", "ok").WithDataSchema(base+"/orders/versions/1")))
	assert.Equal(t, "text/plainok", got.DataString())
	assert.Equal(t, base+"/orders/versions/2", got.DataSchema())
	require.NoError(t, h.Handle(t.Context(), event(t, "1", "ok")))
	assert.Equal(t, "ok", got.DataString(), "data of the pinned version stays as it is")
}

// What one event names stops no other one.
func TestOneEventDoesNotStopTheOthers(t *testing.T) {
	code := leat.CodePermissionDenied
	own := orders(t)
	r := readerFunc(func(r schema.Ref) (*schema.Schema, error) {
		if r.Subject == "orders" {
			return own.ByRef(context.Background(), r)
		}
		if code == 0 {
			return &schema.Schema{Ref: r, Definition: schema.Definition{Format: "OTHER"}}, nil
		}
		return nil, &leat.Error{Op: "find schema", Code: code, Err: errors.New("no")}
	})
	e := newEnforcer(t, r, &schema.EnforcerOptions{Pins: pinned(1)})
	other := func(subject string) leat.Event {
		return event(t, "1", "ok").WithType("other").WithDataSchema(base + "/" + subject + "/versions/1")
	}
	_, err := process(e, other("secret"))
	assert.True(t, leat.IsPostponed(err), "%v", err)
	code = 0
	_, err = process(e, other("strange"))
	assert.True(t, leat.IsRejected(err), "%v", err)

	calls := 0
	invented := newEnforcer(t, readerFunc(func(r schema.Ref) (*schema.Schema, error) {
		calls++
		return own.ByRef(context.Background(), r)
	}), &schema.EnforcerOptions{Pins: pinned(1)})
	for i := range 3_000 {
		_, err := process(invented, other(fmt.Sprint("s", i)))
		assert.True(t, leat.IsRejected(err) || i >= 1_000 && leat.IsPostponed(err), "%d: %v", i, err)
	}
	assert.LessOrEqual(t, calls, 1_000)
}

// A Reader or a Format that breaks its rules breaks nothing else.
func TestRudeReaders(t *testing.T) {
	for name, r := range map[string]readerFunc{
		"panics":          func(schema.Ref) (*schema.Schema, error) { panic("s3cr3t") },
		"returns nothing": func(schema.Ref) (*schema.Schema, error) { return nil, nil }, //nolint:nilnil // it is rude
		"leaves":          func(schema.Ref) (*schema.Schema, error) { runtime.Goexit(); panic("not reached") },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnforcer(t, r, &schema.EnforcerOptions{Pins: pinned(1)})
			err := e.Warm(t.Context())
			hasCode(t, err, leat.CodeInternal)
			assert.NotContains(t, err.Error(), "s3cr3t")
			_, err = process(e, event(t, "1", "ok"))
			assert.True(t, leat.IsPaused(err), "the pin is this service's own")
			c, err := schema.Cached(r, nil)
			require.NoError(t, err)
			_, err = c.ByRef(t.Context(), one)
			hasCode(t, err, leat.CodeInternal)
		})
	}
}

func TestDataSchema(t *testing.T) {
	e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Unpinned: schema.Refuse})
	for uri, known := range map[string]bool{
		base + "/orders/versions/1": true, base + "/%6Frders/versions/1": false, base + "/orders/versions/01": false,
		base + "/orders/versions/1/": false, base + "/versions/1": false, base + "//versions/1": false, base + "x/orders/versions/1": false,
		base + "/a%2Fb/versions/1": false, base + "/orders/versions/99999999999999999999": false,
	} {
		_, outcomes := publish(t, e, event(t, "1", "ok").WithDataSchema(uri))
		assert.Equal(t, known, outcomes[0] == nil, "%s: %v", uri, outcomes[0])
	}
}
