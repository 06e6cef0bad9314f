package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// fakeBroker confirms what is published, or refuses it with err, or does not answer.
type fakeBroker struct {
	leat.Broker

	limits leat.Limits
	takes  int // the size of an event that the topic takes, whatever limits say; 0 means any
	err    error
	silent bool
	topics []string
	events []leat.Event
}

func (b *fakeBroker) Limits() leat.Limits { return b.limits }

func (b *fakeBroker) Publish(_ context.Context, topic string, events []leat.Event, done func(int, error)) {
	for i, e := range events {
		if b.takes > 0 && e.Size() > b.takes {
			done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeTooLarge})
			continue
		}
		if b.err == nil {
			b.topics, b.events = append(b.topics, topic), append(b.events, e)
		}
		if !b.silent {
			done(i, b.err)
		}
	}
}

// fields returns what tells two events apart.
func fields(e leat.Event) []any {
	return []any{e.ID(), e.Source(), e.Type(), e.Key(), e.Size(), e.DataString()}
}

func poisoned(t *testing.T) leat.Poisoned {
	t.Helper()
	return leat.Poisoned{
		Event:  newEvent(t, "order.placed", "/shop", "42"),
		Reason: errDown,
		Info:   leat.Info{Topic: "orders", Group: "billing", Attempt: 5},
		At:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestPoisonQueuePublishesAsEvent(t *testing.T) {
	b := &fakeBroker{}
	q := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
	p := poisoned(t)
	require.NoError(t, q.Poison(t.Context(), p))
	want, err := p.AsEvent()
	require.NoError(t, err)
	assert.Equal(t, []string{"orders.billing.poison"}, b.topics)
	require.Len(t, b.events, 1)
	assert.Equal(t, fields(want), fields(b.events[0]))
	assert.Equal(t, fields(p.Event), fields(middleware.Original(b.events[0])), "Original takes off what was added")
	assert.Equal(t, p.Event, middleware.Original(p.Event), "and leaves alone what was not poisoned")
}

func TestPoisonQueueTakesMalformedDeliveries(t *testing.T) {
	b := &fakeBroker{}
	q := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
	p := leat.Poisoned{
		Malformed: &leat.Malformed{Body: []byte("{"), Reason: errors.New("no JSON")},
		Reason:    errors.New("no JSON"),
		Info:      leat.Info{Topic: "orders", Group: "billing"},
		At:        time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	require.NoError(t, q.Poison(t.Context(), p))
	require.Len(t, b.events, 1)
	assert.Equal(t, "leat.malformed.v1", b.events[0].Type())
	assert.NoError(t, b.events[0].Validate())
	assert.Equal(t, b.events[0], middleware.Original(b.events[0]), "it has no original")
	require.NoError(t, q.Poison(t.Context(), p))
	assert.Equal(t, b.events[0].ID(), b.events[1].ID(), "poisoned twice, it is the same event")
}

func TestPoisonQueueUsesTheReserve(t *testing.T) {
	b := &fakeBroker{}
	producer := leat.NewProducer(b, nil)
	p := poisoned(t)
	var err error
	p.Event, err = leat.NewEvent("a", &leat.EventOptions{ID: "1", Source: "/shop", Data: []byte(strings.Repeat("x", 1<<20-8<<10-1<<10))})
	require.NoError(t, err)
	require.NoError(t, producer.Publish(t.Context(), "orders", p.Event))
	require.NoError(t, middleware.PoisonQueue(producer, nil).Poison(t.Context(), p), "what could be published can be poisoned")
}

func TestPoisonQueueTopic(t *testing.T) {
	own := &middleware.PoisonOptions{Topic: func(topic, group string) string { return "dead-" + topic + "-" + group }}
	for _, c := range []struct {
		name    string
		options *middleware.PoisonOptions
		sub     leat.Subscription
		want    string
	}{
		{"the default", nil, leat.Subscription{Topic: "orders", Group: "billing"}, "orders.billing.poison"},
		{"empty options", &middleware.PoisonOptions{}, leat.Subscription{Topic: "orders", Group: "billing"}, "orders.billing.poison"},
		{"a broadcast", nil, leat.Subscription{Topic: "orders", Broadcast: true}, "orders.poison-broadcast"},
		{"a group of that name", nil, leat.Subscription{Topic: "orders", Group: "broadcast"}, "orders.broadcast.poison"},
		{"a group with dots", nil, leat.Subscription{Topic: "orders", Group: "eu.billing"}, "orders.eu.billing.poison-2"},
		{"a replay", nil, leat.Subscription{Topic: "orders.billing.poison", Group: "replay"}, "orders.billing.poison.replay.poison"},
		{"an own name", own, leat.Subscription{Topic: "orders", Group: "billing"}, "dead-orders-billing"},
		{"an own name of a broadcast", own, leat.Subscription{Topic: "orders", Broadcast: true}, "dead-orders-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &fakeBroker{}
			q := middleware.PoisonQueue(leat.NewProducer(b, nil), c.options)
			assert.Equal(t, c.want, q.Topic(c.sub))
			p := poisoned(t)
			p.Info.Topic, p.Info.Group = c.sub.Topic, c.sub.Group
			require.NoError(t, q.Poison(t.Context(), p))
			assert.Equal(t, []string{c.want}, b.topics, "events go to the topic that was declared")
		})
	}
}

func TestPoisonQueueErrors(t *testing.T) {
	down := &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errDown}
	q := middleware.PoisonQueue(leat.NewProducer(&fakeBroker{err: down}, nil), nil)
	err := q.Poison(t.Context(), poisoned(t))
	assert.EqualError(t, err, `leat: poison topic "orders.billing.poison" event "42": poison queue: `+
		`publish: unavailable: the database is down`)
	assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err))
	assert.True(t, leat.Retryable(err))
	require.ErrorIs(t, err, errDown)
	assert.NotContains(t, err.Error(), "the payload")
	_, ok := errors.AsType[*leat.PublishError](err)
	assert.True(t, ok, "the Producer's error is wrapped")

	empty := &middleware.PoisonOptions{Topic: func(string, string) string { return "" }}
	err = middleware.PoisonQueue(leat.NewProducer(&fakeBroker{}, nil), empty).Poison(t.Context(), poisoned(t))
	assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err))
	require.ErrorContains(t, err, "topic is empty")

	err = middleware.PoisonQueue(nil, nil).Poison(t.Context(), poisoned(t))
	assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err))
	require.ErrorContains(t, err, "without a Producer")

	err = middleware.PoisonQueue(leat.NewProducer(&fakeBroker{}, nil), nil).Poison(t.Context(), leat.Poisoned{})
	assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err), "what cannot be made an event")
}

func TestPoisonQueueEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := middleware.PoisonQueue(leat.NewProducer(&fakeBroker{silent: true}, nil), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := q.Poison(ctx, poisoned(t))
		assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err), "without a confirm it is not poisoned")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// TestPoisonQueueReducesWhatDoesNotFit: the limits are those of the broker, or less where the topic
// says so.
func TestPoisonQueueReducesWhatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		limits  leat.Limits
		takes   int // what the topic takes; 0 means everything
		reduced bool
	}{
		"the limits of the broker":    {leat.Limits{MaxEventBytes: 64 << 10}, 0, true},
		"attributes":                  {leat.Limits{MaxAttributes: 20}, 0, true},
		"a topic that takes less":     {leat.Limits{}, 100 << 10, true},
		"a topic that takes 10 kB":    {leat.Limits{MaxEventBytes: 300 << 10}, 10_000, true},
		"nothing that does not fit":   {leat.Limits{MaxEventBytes: 300 << 10}, 0, false},
		"a topic that takes just it":  {leat.Limits{}, 210 << 10, false},
		"a topic that takes nothing":  {leat.Limits{}, 5_000, true},
		"a limit below the least one": {leat.Limits{MaxEventBytes: 5_000}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := &fakeBroker{limits: c.limits, takes: c.takes}
			p := poisoned(t)
			e := p.Event.WithData("text/plain", []byte(strings.Repeat("the payload ", 17_000)))
			for i := range 10 {
				e = e.WithExtension("x"+string(rune('a'+i)), "value")
			}
			p.Event = e
			err := middleware.PoisonQueue(leat.NewProducer(b, nil), nil).Poison(t.Context(), p)
			if c.takes == 5_000 || c.limits.MaxEventBytes == 5_000 {
				assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err))
				assert.Empty(t, b.events)
				assert.NotContains(t, err.Error(), "the payload")
				return
			}
			require.NoError(t, err)
			require.Len(t, b.events, 1)
			back, err := leat.PoisonedFrom(b.events[0])
			require.NoError(t, err)
			if !c.reduced {
				assert.Equal(t, fields(e), fields(middleware.Original(b.events[0])))
				return
			}
			assert.Equal(t, "leat.reduced.v1", b.events[0].Type())
			if c.limits.MaxAttributes > 0 {
				assert.Equal(t, fields(e), fields(middleware.Original(b.events[0])), "nothing is missing")
				return
			}
			require.NotNil(t, back.Reduced)
			assert.Equal(t, len(e.Data()), back.Reduced.DataSize)
			assert.Equal(t, b.events[0], middleware.Original(b.events[0]), "a piece is no original")
		})
	}
}

// TestPoisonQueueTriesTheLeastSize: half of an event may be less than the least size of the reduced
// form, which the topic still takes.
func TestPoisonQueueTriesTheLeastSize(t *testing.T) {
	for takes, fits := range map[int]bool{16_100: true, 12_000: true, 8 << 10: true, 5_000: false} {
		b := &fakeBroker{takes: takes}
		p := poisoned(t)
		p.Event = p.Event.WithData("text/plain", []byte(strings.Repeat("the payload ", 1_250)))
		err := middleware.PoisonQueue(leat.NewProducer(b, nil), nil).Poison(t.Context(), p)
		if !fits {
			assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err))
			assert.Empty(t, b.events)
			continue
		}
		require.NoError(t, err, "a topic that takes %d bytes", takes)
		require.Len(t, b.events, 1)
	}
}

// TestRunRefusesAPoisonQueueWhoseProducerIsWrong: every event that it is given would be refused.
func TestRunRefusesAPoisonQueueWhoseProducerIsWrong(t *testing.T) {
	for name, p := range map[string]*leat.Producer{
		"none":                       nil,
		"no broker":                  leat.NewProducer(nil, nil),
		"a nil among the middleware": leat.NewProducer(&fakeBroker{}, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{nil}}),
		"a middleware that returns nil": leat.NewProducer(&fakeBroker{}, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{
			func(leat.PublishFunc) leat.PublishFunc { return nil },
		}}),
	} {
		c := leat.NewConsumer(&fakeBroker{}, leat.Subscription{Topic: "orders", Group: "billing"}, returns(nil),
			&leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(p, nil)})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := leat.Run(ctx, c)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%s: %v", name, err)
		assert.ErrorContains(t, err, "without a Producer", name)
	}
}

// keeper is a [leat.Publisher] that is not a Producer.
type keeper struct{ kept []leat.Event }

func (k *keeper) Publish(_ context.Context, _ string, events ...leat.Event) error {
	k.kept = append(k.kept, events...)
	return nil
}

// Of a Publisher without limits of its own Leat's hold.
func TestPoisonQueuePublishesThroughAnyPublisher(t *testing.T) {
	k := &keeper{}
	p := poisoned(t)
	p.Event = p.Event.WithText(strings.Repeat("x", 900<<10))
	q := middleware.PoisonQueue(k, nil)
	require.NoError(t, q.Poison(t.Context(), p))
	require.Len(t, k.kept, 1)
	assert.Equal(t, fields(p.Event), fields(middleware.Original(k.kept[0])))
	checker, ok := q.(interface {
		Check(sub leat.Subscription) error
	})
	require.True(t, ok)
	require.NoError(t, checker.Check(leat.Subscription{}))

	none := middleware.PoisonQueue((*keeper)(nil), nil)
	require.ErrorContains(t, none.Poison(t.Context(), p), "without a Producer")
	checker, ok = none.(interface {
		Check(sub leat.Subscription) error
	})
	require.True(t, ok)
	require.ErrorContains(t, checker.Check(leat.Subscription{}), "without a Producer")
}
