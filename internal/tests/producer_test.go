package leat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// publishError returns err as a *PublishError.
func publishError(t *testing.T, err error) *leat.PublishError {
	t.Helper()
	var e *leat.PublishError
	require.ErrorAs(t, err, &e)
	return e
}

func TestPublishReportsOneOutcomePerEvent(t *testing.T) {
	b := newFakeBroker()
	var sent []string
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			sent = append(sent, e.ID())
			switch e.ID() {
			case "refused":
				done(i, &leat.Error{Op: "publish", EventID: e.ID(), Code: leat.CodePermissionDenied})
			case "unknown":
				done(i, errors.New("the adapter forgot to say which")) // no code proves nothing
			default:
				done(i, nil)
			}
		}
	}
	p := leat.NewProducer(b, nil)
	noSource, err := leat.NewEvent("com.example.test", &leat.EventOptions{ID: "no-source"})
	require.NoError(t, err)
	err = p.Publish(t.Context(), "orders",
		event(t, "1", ""), event(t, "refused", ""), noSource, event(t, "2", ""), event(t, "unknown", ""), leat.Event{})
	e := publishError(t, err)
	assert.Equal(t, []string{"1", "refused", "2", "unknown"}, sent, "what is invalid does not reach the broker")
	assert.Equal(t, 6, e.Total)
	assert.Equal(t, "orders", e.Topic)
	got := []string{}
	for _, f := range e.Failures {
		got = append(got, f.Event.ID()+": "+leat.CodeOf(f.Err).String())
	}
	assert.Equal(t, []string{"refused: permission denied", "no-source: invalid", "unknown: unknown outcome", ": invalid"}, got)
	assert.Len(t, e.Events(), 4)
	assert.ErrorContains(t, err, "4 of 6 events failed (3 refused, 1 with unknown outcome)")
	assert.NoError(t, p.Close(t.Context()))
}

func TestPublishFillsInTheDefaultSource(t *testing.T) {
	b := newFakeBroker()
	var got []leat.Event
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			got = append(got, e)
			done(i, nil)
		}
	}
	p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/shop"})
	e, err := leat.NewEvent("com.example.test", nil)
	require.NoError(t, err)
	require.NoError(t, p.Publish(t.Context(), "orders", e, event(t, "1", "")))
	require.Len(t, got, 2)
	assert.Equal(t, "/shop", got[0].Source())
	assert.Equal(t, e.ID(), got[0].ID())
	assert.Equal(t, "/test", got[1].Source())
	assert.Empty(t, e.Source(), "the caller's event does not change")
}

func TestPublishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var late func(i int, err error)
		b.publish = func(_ context.Context, _ string, _ []leat.Event, done func(int, error)) {
			done(0, nil)
			late = done // accepted; the broker does not answer
		}
		p := leat.NewProducer(b, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := p.Publish(ctx, "orders", event(t, "1", ""), event(t, "2", ""))
		assert.Equal(t, time.Minute, time.Since(began))
		e := publishError(t, err)
		require.Len(t, e.Failures, 1)
		assert.Equal(t, "2", e.Failures[0].Event.ID())
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(e.Failures[0].Err))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, leat.Retryable(err))

		flushed, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(p.Flush(flushed)), "one answer is still missing")
		late(1, nil)
		assert.NoError(t, p.Flush(t.Context()))
	})
}

func TestPublishAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
			ids := make([]string, len(events))
			for i, e := range events {
				ids[i] = e.ID()
			}
			for i := range ids {
				go func() {
					time.Sleep(time.Second)
					if ids[i] == "bad" {
						done(i, &leat.Error{Op: "publish", Code: leat.CodeUnavailable})
						return
					}
					done(i, nil)
				}()
			}
		}
		p := leat.NewProducer(b, nil)
		var mu sync.Mutex
		got := map[string]leat.Code{}
		ctx, cancel := context.WithCancel(t.Context())
		p.PublishAsync(ctx, "orders", func(e leat.Event, err error) {
			mu.Lock()
			defer mu.Unlock()
			got[e.ID()] = leat.CodeOf(err)
		}, event(t, "1", ""), event(t, "bad", ""), event(t, "2", ""), leat.Event{})
		cancel() // it bounds the acceptance only
		p.PublishAsync(t.Context(), "orders", nil, event(t, "nobody asks", ""))
		require.NoError(t, p.Flush(t.Context()))
		assert.Equal(t, map[string]leat.Code{"1": 0, "2": 0, "bad": leat.CodeUnavailable, "": leat.CodeInvalid}, got)
	})
}

func TestClosedProducerRefuses(t *testing.T) {
	p := leat.NewProducer(newFakeBroker(), nil)
	require.NoError(t, p.Close(t.Context()))
	require.NoError(t, p.Close(t.Context()))
	err := p.Publish(t.Context(), "orders", event(t, "1", ""))
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(publishError(t, err).Failures[0].Err))
	assert.NoError(t, p.Flush(t.Context()))
	assert.NoError(t, p.Publish(t.Context(), "orders"), "nothing to publish")
}

func TestPublishRefusesBadTopics(t *testing.T) {
	p := leat.NewProducer(newFakeBroker(), nil)
	for _, topic := range []string{"", "with space", "ümlaut", "a/b", string(make([]byte, 250))} {
		err := p.Publish(t.Context(), topic, event(t, "1", ""))
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%q", topic)
	}
}

func TestPublishMiddlewareOrder(t *testing.T) {
	tr := newTrace()
	wrap := func(name string) leat.PublishMiddleware {
		return func(next leat.PublishFunc) leat.PublishFunc {
			return func(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				tr.add("%s before", name)
				next(ctx, topic, events, func(i int, err error) {
					tr.add("%s outcome %d %v", name, i, err)
					done(i, err)
				})
			}
		}
	}
	p := leat.NewProducer(newFakeBroker(), &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{wrap("outer"), wrap("inner")}})
	require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
	assert.Equal(t, []string{"outer before", "inner before", "inner outcome 0 <nil>", "outer outcome 0 <nil>"}, tr.all())
}

func TestPublishFromManyGoroutines(t *testing.T) {
	b := newFakeBroker()
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			switch {
			case e.Key() == "fails":
				done(i, &leat.Error{Op: "publish", EventID: e.ID(), Code: leat.CodeUnavailable})
			case i%2 == 0:
				done(i, nil)
			default:
				go done(i, nil)
			}
		}
	}
	p := leat.NewProducer(b, nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				good, bad := event(t, fmt.Sprintf("%d-%d", g, i), ""), event(t, fmt.Sprintf("bad-%d-%d", g, i), "fails")
				err := p.Publish(t.Context(), "orders", good, bad, good, good)
				if e := publishError(t, err); assert.Len(t, e.Failures, 1) {
					assert.Equal(t, bad.ID(), e.Failures[0].Event.ID())
				}
			}
		})
	}
	wg.Wait()
	assert.NoError(t, p.Close(t.Context()))
}

func TestPublishAllocatesNothing(t *testing.T) {
	p := leat.NewProducer(newFakeBroker(), nil)
	e := event(t, "1", "k")
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		if err := p.Publish(ctx, "orders", e); err != nil {
			t.Error(err)
		}
	})
	if !raceEnabled {
		assert.Zero(t, allocs)
	}
}

// The reserve for the poison queue is a part of a limit that is smaller than itself, so that
// something is always allowed.
func TestTheReserveFitsTheLimit(t *testing.T) {
	for _, c := range []struct{ limit, allowed int }{
		{0, 1<<20 - 8<<10}, {1 << 30, 1<<20 - 8<<10}, {64 << 10, 56 << 10}, {8 << 10, 7 << 10}, {1000, 875}, {9000, 7875},
	} {
		b := newFakeBroker()
		b.limits.MaxEventBytes = c.limit
		p := leat.NewProducer(b, nil)
		e := event(t, "1", "").WithData("", []byte{})
		fits := e.WithData("", make([]byte, c.allowed-e.Size()))
		require.NoError(t, p.Publish(t.Context(), "orders", fits), "limit %d", c.limit)
		err := p.Publish(t.Context(), "orders", e.WithData("", make([]byte, c.allowed-e.Size()+1)))
		assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
		require.ErrorContains(t, err, fmt.Sprintf("at most %d are allowed", c.allowed))
	}
	for _, c := range []struct{ limit, allowed int }{{0, 64}, {200, 64}, {80, 64}, {70, 56}, {20, 16}, {10, 8}} {
		b := newFakeBroker()
		b.limits.MaxAttributes = c.limit
		p := leat.NewProducer(b, nil)
		e := event(t, "1", "").WithData("", nil)
		n := 0
		for range e.Attributes() {
			n++
		}
		for ; n < c.allowed; n++ {
			e = e.WithExtension(fmt.Sprintf("ext%d", n), "v")
		}
		require.NoError(t, p.Publish(t.Context(), "orders", e), "limit %d", c.limit)
		if c.allowed < 64 { // more than 64 is not an event
			err := p.Publish(t.Context(), "orders", e.WithExtension("onemore", "v"))
			require.ErrorContains(t, err, fmt.Sprintf("at most %d are allowed", c.allowed))
		}
	}
}
