package leat_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// mistake is one that people make, and what they are told. The text is read as the person reads it
// who made the mistake: it says what is wrong, where, and what to do.
type mistake struct {
	made string
	do   func(t *testing.T) error
	want string
}

// tally is data with a type of its own.
type tally struct {
	Total int `json:"total"`
}

// runs returns what Run says of a Consumer that is wrong, or that an ended context stops.
func runs(b leat.Broker, sub leat.Subscription, h leat.Handler, o *leat.ConsumerOptions) func(*testing.T) error {
	return func(t *testing.T) error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return leat.Run(ctx, leat.NewConsumer(b, sub, h, o))
	}
}

// publishes returns what publishing e says.
func publishes(o *leat.ProducerOptions, topic string, e func(t *testing.T) leat.Event) func(*testing.T) error {
	return func(t *testing.T) error {
		t.Helper()
		return leat.NewProducer(memory.New(nil), o).Publish(t.Context(), topic, e(t))
	}
}

func plainEvent(t *testing.T) leat.Event {
	t.Helper()
	return event(t, "1", "")
}

func opens(url string) func(*testing.T) error {
	return func(t *testing.T) error {
		t.Helper()
		_, err := leat.Openers{"mem": memory.Open}.Open(t.Context(), url)
		return err
	}
}

// healthAfter returns what health says a minute after an event was delivered to h.
func healthAfter(h leat.HandlerFunc, o *leat.ConsumerOptions) func(*testing.T) error {
	return func(t *testing.T) error {
		t.Helper()
		b := newFakeBroker()
		r := start(t, b, h, o)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		problems := errors.Join(r.consumer.Health().Problems...)
		r.stopClean()
		return problems
	}
}

func nothing(context.Context, leat.Event) error { return nil }

var placed = leat.EventType[tally]{Name: "order.placed", Topic: "orders"}

func mistakes() []mistake {
	handler := leat.HandlerFunc(nothing)
	b := memory.New(nil)
	return []mistake{
		{"an event without a source", publishes(nil, "orders", func(t *testing.T) leat.Event {
			t.Helper()
			e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1"})
			assert.NoError(t, err)
			return e
		}),
			`leat: publish topic "orders" event "1": invalid: attribute "source" is missing (CloudEvents 1.0.2, Required ` +
				`Attributes: source); set ProducerOptions.Source, which its events get, or EventOptions.Source`},
		{"an event without a type", func(*testing.T) error {
			_, err := leat.NewEvent("", &leat.EventOptions{ID: "1"})
			return err
		},
			`leat: event "1": invalid: attribute "type" is empty (CloudEvents 1.0.2, Required Attributes: type)`},
		{"a source with a space", publishes(&leat.ProducerOptions{Source: "my shop"}, "orders", func(t *testing.T) leat.Event {
			t.Helper()
			e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1"})
			assert.NoError(t, err)
			return e
		}),
			`leat: publish topic "orders" event "1": invalid: attribute "source" has a character that a URI cannot have unless it ` +
				`is percent-encoded (CloudEvents 1.0.2, Required Attributes: source)`},
		{"an extension with a capital", func(*testing.T) error {
			_, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Extensions: map[string]any{"orderID": "1"}})
			return err
		},
			`leat: event "1": invalid: attribute "orderID" has a name with something other than a-z and 0-9 (CloudEvents 1.0.2, ` +
				`Naming Conventions)`},
		{"the zero Event", publishes(nil, "orders", func(*testing.T) leat.Event { return leat.Event{} }),
			`leat: publish topic "orders": invalid: the event is the zero Event; make one with NewEvent or EventType.New ` +
				`(CloudEvents 1.0.2, Required Attributes)`},
		{"no topic", publishes(nil, "", plainEvent),
			`leat: publish: invalid: topic is empty; give it a name`},
		{"a topic with a slash", publishes(nil, "shop/orders", plainEvent),
			`leat: publish: invalid: topic "shop/orders" has '/'; use letters, digits, '.', '_' and '-'`},
		{"an event that is too large", publishes(nil, "orders", func(t *testing.T) leat.Event {
			t.Helper()
			return event(t, "1", "").WithText(strings.Repeat("x", 1<<20-200))
		}),
			`leat: publish topic "orders" event "1": too large: the event has 1048488 bytes; at most 1040384 are allowed; ` +
				`publish a reference to large data, or raise the limit of the broker's adapter`},
		{"a publish after Close", func(t *testing.T) error {
			t.Helper()
			p := leat.NewProducer(memory.New(nil), nil)
			assert.NoError(t, p.Close(t.Context()))
			return p.Publish(t.Context(), "orders", event(t, "1", ""))
		},
			`leat: publish topic "orders": closed: the Producer is closed; close it behind the last publish`},
		{"a publish after the broker's Close", func(t *testing.T) error {
			t.Helper()
			b := memory.New(nil)
			assert.NoError(t, b.Close())
			return leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, "1", ""))
		},
			`leat: publish topic "orders" event "1": closed: the memory broker is closed; close it behind the last ` +
				`Producer and Consumer`},
		{"a Producer without a broker", func(t *testing.T) error {
			t.Helper()
			return leat.NewProducer(nil, nil).Publish(t.Context(), "orders", event(t, "1", ""))
		},
			`leat: publish topic "orders": invalid: the broker of the Producer is nil; look at the error of opening it`},
		{"a topic that nobody declared", func(t *testing.T) error {
			t.Helper()
			b := memory.New(&memory.Options{Provision: memory.ProvisionStrict})
			return leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, "1", ""))
		},
			`leat: publish topic "orders" event "1": not found: nobody has declared the topic; name it in ProducerOptions.Topics ` +
				`where it is published to, or call leat.Declare (leat.Run declares what its consumers read)`},
		{"data that JSON cannot have", func(t *testing.T) error {
			t.Helper()
			type loop struct{ F func() }
			return leat.EventType[loop]{Name: "a", Source: "/shop", Topic: "orders"}.Publish(t.Context(), leat.NewProducer(b, nil), loop{})
		},
			`leat: publish topic "orders" event "ID": invalid: encode leat_test.loop: json: unsupported type: func()`},

		{"no group", runs(b, leat.Subscription{Topic: "orders"}, handler, nil),
			`leat: run topic "orders": invalid: subscribe: Group is empty; name the group whose members share the events, or set ` +
				`Broadcast`},
		{"no topic to consume", runs(b, leat.Subscription{Group: "billing"}, handler, nil),
			`leat: run: invalid: subscribe: Topic is empty; give it a name`},
		{"a topic of RabbitMQ's own", runs(b, leat.Subscription{Topic: "amq.topic", Group: "billing"}, handler, nil),
			`leat: run topic "amq.topic": invalid: subscribe: Topic "amq.topic" begins with amq., which RabbitMQ keeps for itself; ` +
				`use another name`},
		{"a nil handler", runs(b, testSub, nil, nil),
			`leat: run topic "orders": invalid: the handler is nil; give one to NewConsumer`},
		{"a nil function as handler", runs(b, testSub, leat.HandlerFunc(nil), nil),
			`leat: run topic "orders": invalid: the handler is nil; give one to NewConsumer`},
		{"a nil broker", runs(nil, testSub, handler, nil),
			`leat: run topic "orders": invalid: the broker is nil; look at the error of opening it`},
		{"a nil middleware", runs(b, testSub, handler, &leat.ConsumerOptions{Middleware: []leat.Middleware{nil}}),
			`leat: run topic "orders": invalid: ConsumerOptions.Middleware has a nil; leave it out`},
		{"a negative concurrency", runs(b, testSub, handler, &leat.ConsumerOptions{Concurrency: -1}),
			`leat: run topic "orders": invalid: ConsumerOptions.Concurrency is out of its range; use 1 to 2147483647, or 0 for the ` +
				`default`},
		{"wrong options of Retry", runs(b, testSub, handler, &leat.ConsumerOptions{Middleware: []leat.Middleware{
			middleware.Retry(&middleware.RetryOptions{MaxAttempts: -1}),
		}}),
			`leat: run topic "orders": invalid: RetryOptions.MaxAttempts is out of its range; use 1 to 2147483647, or 0 for the ` +
				`default`},
		{"a negative timeout", runs(b, testSub, handler, &leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.Timeout(-time.Second)}}),
			`leat: run topic "orders": invalid: Timeout was made with a negative duration; use a positive one, or 0 for none`},
		{"Idempotent without a store", runs(b, testSub, handler, &leat.ConsumerOptions{Middleware: []leat.Middleware{
			middleware.Idempotent(nil, nil),
		}}),
			`leat: run topic "orders": invalid: Idempotent was made without a Store; give it one, such as NewMemoryStore`},
		{"a poison queue without a producer", runs(b, testSub, handler, &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(nil, nil)}),
			`leat: run topic "orders": invalid: PoisonQueue was made without a Producer or another Publisher, or with a Producer ` +
				`that has no broker or a wrong middleware`},
		{"MaxDeliveries where nobody counts", runs(newFakeBroker(), testSub, handler, &leat.ConsumerOptions{MaxDeliveries: 5}),
			`leat: run topic "orders": unsupported: the broker does not count deliveries, so MaxDeliveries (5) cannot be held; set ` +
				`it to 0, and let the handler count its starts in a store of its own and return Reject for an event that it has ` +
				`started too often`},
		{"a Router without routes", runs(b, testSub, leat.NewRouter(), nil),
			`leat: run topic "orders": invalid: route: there is no route, so that every event would be skipped`},
		{"two routes for one type", runs(b, testSub, leat.NewRouter(placed.Handler(drop), placed.Handler(drop)), nil),
			`leat: run topic "orders": invalid: route: route 1: there is another route for type "order.placed"`},
		{"a Router of another topic", runs(b, leat.Subscription{Topic: "parcels", Group: "billing"}, leat.NewRouter(placed.Handler(drop)), nil),
			`leat: run topic "parcels": invalid: route: type "order.placed" is published to topic "orders", not to this one; ` +
				`correct it, or leave the route's Topic empty`},
		{"a Consumer that runs twice", func(t *testing.T) error {
			t.Helper()
			r := start(t, newFakeBroker(), nothing, nil)
			err := leat.Run(t.Context(), r.consumer)
			r.stopClean()
			return err
		},
			`leat: run topic "orders": conflict: the Consumer runs already; make one with NewConsumer for each Run`},
		{"two groups with one poison topic", func(t *testing.T) error {
			t.Helper()
			q := middleware.PoisonQueue(leat.NewProducer(b, nil), &middleware.PoisonOptions{Topic: func(string, string) string { return "poison" }})
			o := &leat.ConsumerOptions{PoisonQueue: q}
			return leat.Run(t.Context(), leat.NewConsumer(b, testSub, handler, o),
				leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "shipping"}, handler, o))
		},
			`leat: run topic "orders": invalid: group "shipping" would share the poison topic "poison" with group "billing" of ` +
				`topic "orders"; use other names, or PoisonOptions.Shared`},

		{"a handler that fails and has no Retry", healthAfter(func(context.Context, leat.Event) error { return errors.New("no row") }, nil),
			`leat: consume topic "orders": handler: 1 event keeps failing and may do so without end; give the Consumer a Retry and ` +
				`a PoisonQueue; the newest is event "1" of type "com.example.test": no row, since 2000-01-01T00:00:00Z`},
		{"a rejection without a poison queue", healthAfter(func(context.Context, leat.Event) error { return leat.Reject(errBoom) }, nil),
			`leat: consume topic "orders": poison queue: 1 rejected event stays unsettled, because there is no PoisonQueue, since ` +
				`2000-01-01T00:00:00Z`},
		{"data of another type", func(t *testing.T) error {
			t.Helper()
			o := &leat.EventOptions{ID: "1", DataContentType: "application/json", Data: []byte(`{"total":"many"}`)}
			e, err := leat.NewEvent("order.placed", o)
			assert.NoError(t, err)
			return leat.NewRouter(placed.Handler(drop)).Handle(t.Context(), e)
		},
			`leat: decode event "1": invalid: data of type "order.placed": JSON value of field "total" at byte 15 does not fit ` +
				`into Go type int`},
		{"an event without a route, and RejectUnhandled", func(t *testing.T) error {
			t.Helper()
			return leat.NewRouter(leat.RejectUnhandled()).Handle(t.Context(), event(t, "1", ""))
		},
			`leat: route event "1": handler: no route for type "com.example.test"`},

		{"an empty URL", opens(""),
			`leat: open: invalid: the broker URL is empty; set it, as in kafka://host:9092; use one of mem://`},
		{"a URL without a scheme", opens("localhost:9092"),
			`leat: open: invalid: the broker URL has no scheme followed by ://; use one of mem://`},
		{"a scheme that is not registered", opens("kafka://localhost:9092"),
			`leat: open: invalid: no adapter for the scheme of the broker URL; use one of mem://`},
		{"an unknown parameter", opens("mem://?bufer=10"),
			`leat: open: invalid: parameter number 1 is unknown (did you mean buffer?); there are buffer, buffer_bytes, ` +
				`full_timeout, history, history_bytes, lease_duration, max_event_bytes, no_history, provision`},
		{"a parameter that is not a number", opens("mem://?buffer=many"),
			`leat: open: invalid: parameter buffer is wrong; write a number from 1 to 1099511627776`},
	}
}

func drop(context.Context, leat.Event, tally) error { return nil }

// madeID is an id that Leat made.
var madeID = regexp.MustCompile(`event "[0-9a-f-]{36}"`)

// The commonest mistakes, and the exact text of each.
func TestMistakesSayWhatToDo(t *testing.T) {
	for _, m := range mistakes() {
		t.Run(m.made, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := m.do(t)
				if !assert.Error(t, err, "it is not silent") {
					return
				}
				assert.Equal(t, m.want, madeID.ReplaceAllString(err.Error(), `event "ID"`))
				assert.NotContains(t, err.Error(), "\n")
				assert.LessOrEqual(t, strings.Count(err.Error(), "leat: "), 1)
			})
		})
	}
	assert.Greater(t, len(mistakes()), 30)
}
