package leat_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An adapter or a middleware that answers twice, late or for an event that does not exist breaks
// rule P1. It must not make a publish report nil that the broker has not confirmed.

func TestASecondAnswerForOneEventIsNotThatOfItsNeighbour(t *testing.T) {
	b := newFakeBroker()
	b.publish = func(_ context.Context, _ string, _ []leat.Event, done func(int, error)) {
		for range 3 {
			done(0, nil)
		}
		done(-1, nil)
		done(2, nil)
	}
	p := leat.NewProducer(b, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := publishError(t, p.Publish(ctx, "orders", event(t, "1", ""), event(t, "2", "")))
	require.Len(t, e.Failures, 1)
	assert.Equal(t, "2", e.Failures[0].Event.ID())
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(e.Failures[0].Err))
	assert.ErrorContains(t, p.Flush(ctx), "1 events without an answer")

	var got []string
	p.PublishAsync(t.Context(), "orders", func(e leat.Event, _ error) { got = append(got, e.ID()) }, event(t, "3", ""), event(t, "4", ""))
	assert.Equal(t, []string{"3"}, got, "the callback is called once, and for the event that was answered")
}

func TestAnAnswerOutOfRangeAfterARefusalIsIgnored(t *testing.T) {
	b := newFakeBroker()
	b.publish = func(_ context.Context, _ string, _ []leat.Event, done func(int, error)) {
		done(1, nil)
		done(-1, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := publishError(t, leat.NewProducer(b, nil).Publish(ctx, "orders", leat.Event{}, event(t, "1", "")))
	assert.Len(t, e.Failures, 2)
}

// lateAnswers is a broker that answers the publishes of events with the key "now", and keeps every
// done that it was given.
type lateAnswers struct {
	*fakeBroker

	mu    sync.Mutex
	dones []func(i int, err error)
}

func newLateAnswers() *lateAnswers {
	l := &lateAnswers{fakeBroker: newFakeBroker()}
	l.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		if events[0].Key() == "now" {
			l.mu.Lock()
			l.dones = append(l.dones, done)
			l.mu.Unlock()
			done(0, nil)
		}
	}
	return l
}

// pass is a middleware that changes nothing.
func pass(next leat.PublishFunc) leat.PublishFunc { return next }

// assertStaleAnswersAreIgnored makes n publishes, and then one that the broker does not answer,
// while it answers the earlier ones again.
func assertStaleAnswersAreIgnored(t *testing.T, n int, o *leat.ProducerOptions) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newLateAnswers()
		p := leat.NewProducer(b, o)
		for range n {
			require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "now")))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := make(chan error, 1)
		e := event(t, "2", "never")
		go func() { result <- p.Publish(ctx, "orders", e) }()
		synctest.Wait()
		for _, done := range b.dones {
			done(0, nil)
			done(0, errors.New("late"))
		}
		err := <-result
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), "after %d publishes: %v", n, err)
	})
}

func TestAnAnswerOfAnEarlierPublishIsNotThatOfALaterOne(t *testing.T) {
	for n := 1; n <= 100; n++ {
		assertStaleAnswersAreIgnored(t, n, nil)
	}
}

func TestBehindMiddlewareNoPublishIsTakenForAnother(t *testing.T) {
	for _, n := range []int{1, 127, 128, 129, 1000} {
		assertStaleAnswersAreIgnored(t, n, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{pass}})
	}
}

// A Producer that has seen an answer too many does not use a call again.
func TestAfterAnAnswerTooManyNoPublishIsTakenForAnother(t *testing.T) {
	b := newLateAnswers()
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "now")))
	b.dones[0](0, nil)
	b.dones = nil
	for range 1000 {
		require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "now")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.publish = func(_ context.Context, _ string, _ []leat.Event, _ func(int, error)) {
		for _, done := range b.dones {
			done(0, nil)
		}
		cancel()
	}
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(p.Publish(ctx, "orders", event(t, "2", ""))))
}

// A second answer that comes from another goroutine, while the call is put back and taken again.
func TestSecondAnswersFromOtherGoroutines(t *testing.T) {
	b := newFakeBroker()
	var wg sync.WaitGroup
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			var err error
			if e.ID() == "bad" {
				err = &leat.Error{Op: "publish", Code: leat.CodeUnavailable}
			}
			wg.Go(func() { done(i, err) })
			wg.Go(func() { done(i, err) })
		}
	}
	p := leat.NewProducer(b, nil)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 200 {
				assert.NoError(t, p.Publish(t.Context(), "orders", event(t, "good", "")))
				assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(p.Publish(t.Context(), "orders", event(t, "bad", ""))))
			}
		})
	}
	callers.Wait()
	wg.Wait()
	assert.NoError(t, p.Flush(t.Context()))
}
