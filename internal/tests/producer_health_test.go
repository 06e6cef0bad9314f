package leat_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// problems returns what health says, which is that it is in state.
func problems(t *testing.T, h leat.Health, state leat.HealthState) string {
	t.Helper()
	assert.Equal(t, state, h.State, "%v", h.Problems)
	texts := make([]string, len(h.Problems))
	for i, p := range h.Problems {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "\n")
}

// coded is a broker whose publishes have the outcome of code, and no error without one.
type coded struct {
	*fakeBroker

	mu   sync.Mutex
	code leat.Code
}

func (b *coded) set(code leat.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.code = code
}

func (b *coded) Publish(_ context.Context, topic string, events []leat.Event, done func(int, error)) {
	b.mu.Lock()
	code := b.code
	b.mu.Unlock()
	for i, e := range events {
		if code == 0 || topic == "well" {
			done(i, nil)
		} else {
			done(i, &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: errBoom})
		}
	}
}

// An outage of publishing shows from the first failure to the first success, in health and with two
// lines in the log, whatever is published to other topics.
func TestTheHealthOfAProducerShowsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLogged()
		b := &coded{fakeBroker: newFakeBroker()}
		p := leat.NewProducer(b, &leat.ProducerOptions{Logger: log.logger()})
		publish := func(topic string) { _ = p.Publish(t.Context(), topic, event(t, "1", ""), event(t, "2", "")) }
		publish("orders")
		assert.Equal(t, leat.Health{}, p.Health())

		b.set(leat.CodeUnavailable)
		for range 100 {
			publish("orders")
			publish("well")
			time.Sleep(time.Second)
		}
		b.set(leat.CodeUnknown)
		p.PublishAsync(t.Context(), "orders", nil, event(t, "3", ""))
		assert.Equal(t, `leat: publish topic "orders": unknown outcome: publishes fail (200 refused, 1 unknown): event "3": boom, `+
			`since 2000-01-01T00:00:00Z`,
			problems(t, p.Health(), leat.Degraded))
		time.Sleep(time.Second)
		publish("refunds")
		assert.Equal(t, `leat: publish topic "refunds": unknown outcome: publishes fail (200 refused, 3 unknown), as they do to 1 other topic: `+
			`event "2": boom, since 2000-01-01T00:00:00Z`, problems(t, p.Health(), leat.Degraded))

		b.set(0)
		publish("orders")
		publish("refunds")
		assert.Equal(t, leat.Health{}, p.Health())
		require.NoError(t, p.Close(t.Context()))
		assert.Equal(t, leat.Health{State: leat.Stopped}, p.Health())
		publish("orders")
		assert.Equal(t, []string{
			`at=0s level=WARN msg="publishes to a topic fail" topic=orders error="leat: publish topic \"orders\" event \"1\": unavailable: boom"`,
			`at=1m41s level=WARN msg="publishes to a topic fail" topic=refunds ` +
				`error="leat: publish topic \"refunds\" event \"1\": unknown outcome: boom"`,
			`at=1m41s level=INFO msg="publishes to a topic succeed again" topic=orders refused=200 unknown=1 lasted=1m41s`,
			`at=1m41s level=INFO msg="publishes to a topic succeed again" topic=refunds refused=0 unknown=2 lasted=0s`,
		}, log.all())
	})
}

// What is wrong with an event, or with the caller, is no problem of the Producer.
func TestTheHealthOfAProducerIsNotThatOfItsEvents(t *testing.T) {
	for _, code := range []leat.Code{leat.CodeInvalid, leat.CodeTooLarge, leat.CodeUnsupported, leat.CodeCanceled} {
		b := &coded{fakeBroker: newFakeBroker(), code: code}
		p := leat.NewProducer(b, nil)
		require.Error(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
		assert.Equal(t, leat.Health{}, p.Health(), code.String())
	}
	p := leat.NewProducer(newFakeBroker(), nil)
	require.Error(t, p.Publish(t.Context(), "no spaces", event(t, "1", "")))
	require.Error(t, p.Publish(t.Context(), "orders", leat.Event{}))
	assert.Equal(t, leat.Health{}, p.Health())
	assert.Contains(t, problems(t, leat.NewProducer(nil, nil).Health(), leat.Stopped), "the broker of the Producer is nil")
}

// A broker that does not answer is one whose publishes have no known outcome, when the time of a
// publish is over; that a caller gives up before says nothing. An answer that comes late ends it.
func TestTheHealthOfAProducerWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var answers []func()
		b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
			for i := range events {
				answers = append(answers, func() { done(i, nil) })
			}
		}
		p := leat.NewProducer(b, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.Error(t, p.Publish(ctx, "orders", event(t, "1", "")))
		assert.Equal(t, leat.Health{}, p.Health(), "the caller gave up")

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, p.Publish(ctx, "orders", event(t, "2", ""), event(t, "3", "")))
		assert.Equal(t, `leat: publish topic "orders": unknown outcome: publishes fail (0 refused, 2 unknown): no answer of the broker `+
			`in the time of the publish, since 2000-01-01T00:00:02Z`, problems(t, p.Health(), leat.Degraded))
		for _, answer := range answers {
			answer()
		}
		assert.Equal(t, leat.Health{}, p.Health())
		require.NoError(t, p.Close(t.Context()))
	})
}

// What the broker says of itself shows without any publish, and is told once.
func TestTheHealthOfAProducerHasThatOfItsBroker(t *testing.T) {
	b := &coded{fakeBroker: newFakeBroker(), code: leat.CodeUnavailable}
	p := leat.NewProducer(b, nil)
	b.health = &leat.Error{Op: "health", Code: leat.CodeUnavailable, Err: fmt.Errorf("no connection: %w", errBoom)}
	assert.Equal(t, "leat: health: unavailable: no connection: boom", problems(t, p.Health(), leat.Degraded))
	require.Error(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
	assert.Regexp(t, `^leat: publish topic "orders": unavailable: publishes fail \(1 refused, 0 unknown\), since \S+\n`+
		`leat: health: unavailable: no connection: boom$`, problems(t, p.Health(), leat.Degraded))
}

// A Logger that nobody reads, or that asks the Producer, is no trouble.
func TestALoggerMayAskTheProducer(t *testing.T) {
	b := &coded{fakeBroker: newFakeBroker(), code: leat.CodeUnavailable}
	var p *leat.Producer
	asked := 0
	p = leat.NewProducer(b, &leat.ProducerOptions{Logger: slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
		asked++
		_ = p.Health()
		return len(line), nil
	}), nil))})
	require.Error(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
	b.set(0)
	require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
	assert.Equal(t, 2, asked)
}
