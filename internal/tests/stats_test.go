package leat_test

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typed returns an event of a type.
func typed(t *testing.T, id, eventType string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent(eventType, &leat.EventOptions{ID: id, Source: "/test"})
	require.NoError(t, err)
	return e
}

func poisonCounts(c *leat.Consumer) (all []string) {
	c.PoisonCounts(func(reason, eventType string, events int64) {
		all = append(all, fmt.Sprintf("%s %s %d", reason, eventType, events))
	})
	return all
}

func TestPoisonCountsByReasonAndType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		t.Cleanup(func() { assert.NoError(t, broker.Close()) })
		producer := leat.NewProducer(broker, nil)
		fails := func(err error) leat.Handler {
			return leat.HandlerFunc(func(context.Context, leat.Event) error { return err })
		}
		c := leat.NewConsumer(broker, testSub, leat.NewRouter(
			leat.Route{Type: "bad", Handler: fails(leat.Reject(errBoom))},
			leat.Route{Type: "failing", Handler: fails(errBoom)},
			leat.Route{Type: leat.AnyType, Handler: fails(leat.Reject(errBoom))},
		), &leat.ConsumerOptions{
			Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2})},
			PoisonQueue: middleware.PoisonQueue(producer, nil),
		})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, c) }()
		synctest.Wait()
		require.NoError(t, broker.DeliverRaw("orders", leat.Malformed{Body: []byte("no event")}))
		require.NoError(t, producer.Publish(ctx, "orders", typed(t, "1", "bad"), typed(t, "2", "bad"), typed(t, "3", "failing"),
			typed(t, "4", "surprise"), typed(t, "5", "another")))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"exhausted failing 1", "malformed  1", "rejected _OTHER 2", "rejected bad 2"}, poisonCounts(c))
		assert.EqualValues(t, 6, c.Stats().Poisoned)
		lag, err := c.PoisonLag(ctx)
		require.NoError(t, err)
		assert.EqualValues(t, 6, lag.Events)
		lag, err = c.Lag(ctx)
		require.NoError(t, err)
		assert.Equal(t, leat.Lag{Topic: "orders", Group: "billing"}, leat.Lag{Topic: lag.Topic, Group: lag.Group, Events: lag.Events})
		cancel()
		require.NoError(t, <-result)
	})
}

// TestPoisonCountsAreBounded: a Consumer without a Router learns types from the events.
func TestPoisonCountsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
			&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil })})
		lease := leat.NewLease()
		const n = 500
		for i := range n {
			b.deliver(lease, typed(t, fmt.Sprint(i), fmt.Sprint("type ", i)))
		}
		synctest.Wait()
		counts := poisonCounts(r.consumer)
		assert.Len(t, counts, 101)
		assert.Equal(t, "rejected _OTHER 400", counts[0])
		r.stopClean()
	})
}

// TestTypesOfPoisonCountsAreCountedOnce, whatever the reasons of their events are.
func TestTypesOfPoisonCountsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		h := func(_ context.Context, e leat.Event) error {
			if e.Subject() == "exhausted" {
				return errBoom
			}
			return leat.Reject(errBoom)
		}
		r := start(t, b, h, &leat.ConsumerOptions{
			Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})},
			PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil }),
		})
		lease := leat.NewLease()
		for i := range 101 {
			e := typed(t, fmt.Sprint(i), fmt.Sprint("type ", i))
			b.deliver(lease, e)
			b.deliver(lease, e.WithSubject("exhausted"))
			synctest.Wait() // so that the types are counted in their order
		}
		types := map[string]bool{}
		r.consumer.PoisonCounts(func(_, eventType string, _ int64) { types[eventType] = true })
		assert.Len(t, types, 101, "the first 100, and _OTHER")
		assert.True(t, types["type 99"])
		r.stopClean()
	})
}

// TestPoisonCountsKeepNoEvent: the type of an event may be a piece of all of its attributes.
func TestPoisonCountsKeepNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
			&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil })})
		e := typed(t, "1", "placed")
		b.deliver(leat.NewLease(), e)
		synctest.Wait()
		require.Equal(t, []string{"rejected placed 1"}, poisonCounts(r.consumer))
		r.consumer.PoisonCounts(func(_, eventType string, _ int64) {
			assert.NotEqual(t, reflect.ValueOf(e.Type()).Pointer(), reflect.ValueOf(eventType).Pointer(), "its bytes")
		})
		r.stopClean()
	})
}

func TestLagThatCannotBeHad(t *testing.T) {
	handler := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	broker := memory.New(nil)
	t.Cleanup(func() { assert.NoError(t, broker.Close()) })
	for name, c := range map[string]*leat.Consumer{
		"a broadcast":              leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Broadcast: true}, handler, nil),
		"a broker that cannot say": leat.NewConsumer(newFakeBroker(), testSub, handler, nil),
	} {
		_, err := c.Lag(t.Context())
		assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), name)
		_, err = c.PoisonLag(t.Context())
		assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), name)
	}
	_, err := leat.NewConsumer(broker, leat.Subscription{Topic: "bad topic"}, handler, nil).Lag(t.Context())
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

func TestProducerStats(t *testing.T) {
	b := newFakeBroker()
	var answers []func(i int, err error)
	b.publish = func(_ context.Context, _ string, _ []leat.Event, done func(i int, err error)) {
		answers = append(answers, done)
	}
	p := leat.NewProducer(b, nil)
	assert.Zero(t, p.Stats())
	e := event(t, "1", "")
	p.PublishAsync(t.Context(), "orders", nil, e, e, e)
	p.PublishAsync(t.Context(), "orders", nil, leat.Event{})
	assert.Equal(t, leat.ProducerStats{Unanswered: 3, Refused: 1}, p.Stats())
	answers[0](0, nil)
	answers[0](1, &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errBoom})
	answers[0](2, errBoom)
	answers[0](2, nil) // which does not count
	assert.Equal(t, leat.ProducerStats{Stored: 1, Refused: 2, Unknown: 1}, p.Stats())
	var none *leat.Producer
	assert.Zero(t, none.Stats())
}

// TestStoredNeverFalls nor counts what has no answer, whoever asks while events are published.
func TestStoredNeverFalls(t *testing.T) {
	var stored atomic.Int64
	b := newFakeBroker()
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(i int, err error)) {
		for i := range events {
			switch i % 3 {
			case 0:
				stored.Add(1)
				done(i, nil)
			case 1:
				done(i, &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errBoom})
			default:
				done(i, errBoom)
			}
		}
	}
	p := leat.NewProducer(b, nil)
	e := event(t, "1", "")
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 2_000 {
				_ = p.Publish(t.Context(), "orders", e, e, e)
			}
		})
	}
	over := make(chan struct{})
	go func() { work.Wait(); close(over) }()
	for last, asked := int64(0), true; asked; {
		select {
		case <-over:
			asked = false
		default:
		}
		is := p.Stats().Stored
		if is < last || is > stored.Load() { // quick, to ask often
			assert.Failf(t, "wrong", "%d behind %d, of %d", is, last, stored.Load())
			break
		}
		last = is
	}
	<-over
	assert.Equal(t, leat.ProducerStats{Stored: 8_000, Refused: 8_000, Unknown: 8_000}, p.Stats())
}
