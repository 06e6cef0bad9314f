package leat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/middleware"
)

// screen fails the test unless the JSON of h fits on a screen of 24 lines of 120 columns.
func screen(t *testing.T, h leat.Health) string {
	t.Helper()
	text, err := json.MarshalIndent(h, "", "  ")
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(text)) {
		rows += (len(strings.TrimSuffix(line, "\n")) + 119) / 120
	}
	assert.LessOrEqual(t, rows, 24, "%s", text)
	return string(text)
}

// What keeps failing is told with the newest error.
func TestHealthNamesWhatFailedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.ID() == "3" {
				return fmt.Errorf("row %s: %w", e.ID(), errors.Join(errBoom, errors.New("and more")))
			}
			return errBoom
		}, nil)
		lease := leat.NewLease()
		b.deliver(lease, event(t, "1", "a"), event(t, "2", "b"))
		synctest.Wait()
		time.Sleep(20 * time.Millisecond)
		b.deliver(lease, event(t, "3", "c"))
		synctest.Wait()
		h := r.consumer.Health()
		require.Len(t, h.Problems, 1)
		assert.EqualError(t, h.Problems[0], `leat: consume topic "orders": handler: 3 events keep failing and may do so without end; `+
			`give the Consumer a Retry and a PoisonQueue; the newest is event "3" of type "com.example.test": row 3: boom; and more, `+
			`since 2000-01-01T00:00:00Z`)
		require.ErrorIs(t, h.Problems[0], errBoom)
		r.stopClean()
	})
}

func TestHealthOfAPanicHasNoStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error { panic("no row") }, nil)
		b.deliver(leat.NewLease(), event(t, "1", "a"))
		synctest.Wait()
		h := r.consumer.Health()
		require.Len(t, h.Problems, 1)
		assert.EqualError(t, h.Problems[0], `leat: consume topic "orders": handler: 1 event keeps failing and may do so without end; `+
			`give the Consumer a Retry and a PoisonQueue; the newest is event "1" of type "com.example.test": the handler panicked: no row, `+
			`since 2000-01-01T00:00:00Z`)
		require.Error(t, r.stop(), "a panic left the event unhandled")
	})
}

// An error that ends on its root keeps that, however long it is.
func TestHealthLeavesOutTheMiddleOfALongError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			return leat.Pause(time.Hour, fmt.Errorf("the store: %s: %w", strings.Repeat("é", 1_000), errBoom))
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "a"))
		synctest.Wait()
		text := r.consumer.Health().Problems[0].Error()
		assert.Less(t, len(text), 350)
		assert.Contains(t, text, "the store: é")
		assert.Contains(t, text, "é: boom, since 2000-01-01T00:00:00Z")
		r.stopClean()
	})
}

// A stream that says the same of each partition, a broker that says it again, a poison queue and a
// handler on the same broker: one problem each, and the cause once.
func TestTheHealthOfAnOutageFitsOnAScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("dial tcp 10.20.30.40:9092: connect: connection refused")
		amqp := errors.New("Exception (501) Reason: \"write tcp 10.20.30.41:51234->10.20.30.50:5671: write: broken pipe\"")
		unanswered := func(topic string, cause error) error {
			return &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: fmt.Errorf("no connection for 10s: %w", cause)}
		}
		b := newFakeBroker()
		down := func(_ context.Context, topic string, events []leat.Event, done func(int, error)) {
			for i := range events {
				done(i, unanswered(topic, refused))
			}
		}
		b.publish = down
		queue := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			switch e.ID()[0] {
			case 'p':
				return leat.Reject(errBoom)
			default:
				return unanswered("invoices-for-the-accounting-department", amqp)
			}
		}, &leat.ConsumerOptions{PoisonQueue: queue})
		lease := leat.NewLease()
		for i := range 20 {
			for _, kind := range []string{"p", "r"} {
				id := kind + "-019a7f3e-5b7c-7e3a-9d4e-1f2a3b4c5d" + fmt.Sprintf("%02d", i)
				b.deliver(lease, event(t, id, id))
			}
		}
		time.Sleep(time.Minute)
		since := time.Now()
		var ill []error
		for partition := range 12 {
			ill = append(ill, fault.Health("orders", leat.CodeUnavailable, since, fmt.Errorf("fetching: partition %d: %w", partition, refused)))
		}
		ill = append(ill, fault.Health("", leat.CodeUnavailable, since, refused))
		b.mu.Lock()
		b.health = fault.Join(ill...)
		b.mu.Unlock()

		h := r.consumer.Health()
		text := screen(t, h)
		//nolint:testifylint // the text is what is tested, not only its values
		assert.Equal(t, `{
  "state": "degraded",
  "problems": [
    {
      "code": "unavailable",
      "topic": "orders",
      "error": "20 events wait, because their handler cannot publish: publish topic \"invoices-for-the-accounting-department\": `+
			`no connect ... \"write tcp 10.20.30.41:51234-\u003e10.20.30.50:5671: write: broken pipe\", `+
			`since 2000-01-01T00:00:00Z"
    },
    {
      "code": "poison queue",
      "topic": "orders",
      "error": "rejected events stay unsettled, because the poison queue fails, since 2000-01-01T00:00:00Z"
    },
    {
      "code": "unavailable",
      "topic": "orders",
      "error": "fetching: partition 0: dial tcp 10.20.30.40:9092: connect: connection refused `+
			`(and 11 more like it), since 2000-01-01T00:01:00Z"
    }
  ]
}`, text)
		for _, err := range h.Problems {
			assert.NotContains(t, err.Error(), "\n")
			assert.Equal(t, 1, strings.Count(err.Error(), "leat: "), "%v", err)
		}
		require.ErrorIs(t, h.Problems[1], refused, "what is not in the text is in the error")
		r.stopClean()
	})
}

// Of a lost connection and what follows from it, health keeps what follows, which names the cause.
func TestHealthKeepsWhatSaysMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, refused := newFakeBroker(), errors.New("dial tcp 10.20.30.40:9092: connect: connection refused")
		b.health = fault.Join(
			fault.Health("orders", leat.CodeUnavailable, time.Now(), refused),
			fault.Health("orders", leat.CodeUnavailable, time.Now(), fmt.Errorf("the group has not answered for 3s: %w", refused)),
			fault.Health("orders", leat.CodeStalled, time.Now(), errors.New("partition 1 is silent")))
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, nil)
		h := r.consumer.Health()
		require.Len(t, h.Problems, 2)
		assert.EqualError(t, h.Problems[0], `leat: health topic "orders": unavailable: the group has not answered for 3s: `+refused.Error()+
			`, since 2000-01-01T00:00:00Z`)
		assert.EqualError(t, h.Problems[1], `leat: health topic "orders": stalled: partition 1 is silent, since 2000-01-01T00:00:00Z`)
		r.stopClean()
	})
}

func TestTheJSONOfAConsumerThatIsWell(t *testing.T) {
	text, err := json.Marshal(leat.Health{})
	require.NoError(t, err)
	assert.JSONEq(t, `{"state":"healthy"}`, string(text))
	text, err = json.Marshal(map[string]leat.Health{"a": {State: leat.Stopped, Problems: []error{errBoom}}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"a":{"state":"stopped","problems":[{"code":"internal","error":"boom"}]}}`, string(text))
}

// A cause is told where an error wraps it, and not where its text is a piece of another: what is
// wrong with the poison queue must not be hidden by a fault of the stream.
func TestACauseIsNotAPieceOfAnother(t *testing.T) {
	for told, reported := range map[string]error{
		": EOF": io.ErrUnexpectedEOF,
		"":      fmt.Errorf("the connection to a is lost: %w", io.EOF),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newFakeBroker()
			b.health = &leat.Error{Op: "health", Code: leat.CodeUnavailable, Err: reported}
			r := start(t, b, func(context.Context, leat.Event) error {
				return &leat.Error{Op: "publish", Topic: "bills", Code: leat.CodeUnavailable, Err: io.EOF}
			}, nil)
			b.deliver(leat.NewLease(), event(t, "1", "a"))
			synctest.Wait()
			h := r.consumer.Health()
			require.Len(t, h.Problems, 2, "%v", h.Problems)
			assert.Regexp(t, `its handler cannot publish(: publish topic "bills")?`+told+`, since`, h.Problems[0].Error())
			r.stopClean()
		})
	}
}

// Alike is what differs in numbers only. The fault of one queue is not that of another, and neither
// is that of one topic.
func TestHealthTellsQueuesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("access refused")
		var ill []error
		for _, queue := range []string{"orders.billing", "orders.shipping"} {
			for part := range 3 {
				ill = append(ill, fault.Health("orders", leat.CodePermissionDenied, time.Now(), fmt.Errorf("queue %q part %d: broken", queue, part)))
			}
		}
		for _, topic := range []string{"invoices", "refunds", "invoices"} {
			ill = append(ill, fault.Health(topic, leat.CodeUnavailable, time.Now(), fmt.Errorf("not answered: %w", refused)))
		}
		b := newFakeBroker()
		b.health = fault.Join(ill...)
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, nil)
		var got []string
		for _, p := range r.consumer.Health().Problems {
			text, _, _ := strings.Cut(p.Error(), ", since")
			got = append(got, text)
		}
		assert.Equal(t, []string{
			`leat: health topic "orders": permission denied: queue "orders.billing" part 0: broken (and 2 more like it)`,
			`leat: health topic "orders": permission denied: queue "orders.shipping" part 0: broken (and 2 more like it)`,
			`leat: health topic "invoices": unavailable: not answered: access refused (and 1 more like it)`,
			`leat: health topic "refunds": unavailable: not answered: access refused`,
		}, got)
		r.stopClean()
	})
}
