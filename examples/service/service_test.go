package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
)

// testApp returns the program on a Recorder, with a database of its own.
func testApp(t *testing.T) (*app, *eventtest.Recorder) {
	t.Helper()
	db, err := openStore(t.Context(), filepath.Join(t.TempDir(), "shop.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	rec := eventtest.NewRecorder(t, nil)
	producer := leat.NewProducer(rec.Broker(), &leat.ProducerOptions{Source: "/test", Topics: []string{OrderPlaced.Topic, OrderPaid.Topic}})
	return &app{rec.Broker(), producer, db, rec}, rec
}

func TestAnOrderIsChargedAndShippedOnce(t *testing.T) {
	a, rec := testApp(t)
	rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, a.consumer("billing"), a.consumer("shipping")) },
		"billing", "shipping")
	for range 2 { // the customer sends it twice
		w := httptest.NewRecorder()
		body := strings.NewReader(`{"id": "A-17", "cents": 1250}`)
		checkout(a.producer)(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", body))
		require.Equal(t, http.StatusAccepted, w.Code)
	}
	rec.Settled(t)
	for _, table := range []string{"charges", "shipments"} {
		n, err := a.db.count(t.Context(), table)
		require.NoError(t, err)
		assert.Equal(t, 1, n, table)
	}
	assert.Equal(t, 2, rec.Handled("shipping").Len())
}

func TestAnOrderForNothingIsPoisoned(t *testing.T) {
	a, rec := testApp(t)
	rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, a.consumer("billing")) }, "billing")
	require.NoError(t, OrderPlaced.Publish(t.Context(), a.producer, Order{ID: "A-18"}))
	rec.Settled(t)
	assert.ErrorContains(t, rec.Poisoned("billing").One(t).Err, "an order must cost something")
}

func TestCheckoutRefusesWhatIsNoOrder(t *testing.T) {
	a, _ := testApp(t)
	for _, body := range []string{"", "x", `{}`, `{"cents": 1}`, `{"id": 1}`} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", strings.NewReader(body))
		checkout(a.producer)(w, r)
		assert.Equal(t, http.StatusBadRequest, w.Code, body)
	}
}

// A database that is down pauses the consumer; an error of a statement is that of its event.
func TestOnlyADatabaseThatIsDownPauses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := openStore(t.Context(), path)
	require.NoError(t, err)
	other, err := openStore(t.Context(), path)
	require.NoError(t, err)
	_, err = db.db.ExecContext(t.Context(), "PRAGMA busy_timeout = 10")
	require.NoError(t, err)

	_, err = other.db.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	require.NoError(t, err)
	err = db.once(t.Context(), "charges", "1", 1)
	assert.True(t, leat.IsPaused(err), "locked: %v", err)
	_, err = other.db.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)

	require.NoError(t, db.once(t.Context(), "charges", "1", 1))
	err = db.once(t.Context(), "refunds", "1", 1)
	require.ErrorContains(t, err, "no such table")
	assert.False(t, leat.IsPaused(err))
	require.NoError(t, errors.Join(db.Close(), other.Close()))
	assert.False(t, leat.IsPaused(db.once(t.Context(), "charges", "2", 1)), "a program that closed it")
}

// TestUnderChaos runs billing and shipping under the faults of real brokers: a process crashes
// anywhere, publishes fail, events come again.
func TestUnderChaos(t *testing.T) {
	eventtest.Explore(t, 100, func(x *eventtest.Exploration) {
		service := func(name string, handler func(l ledger, p leat.Publisher) leat.Handler) {
			x.Service(name, func(ctx context.Context, b leat.Broker) error {
				p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/" + name})
				h := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
					return handler(chaosLedger{x, e}, p).Handle(ctx, e)
				})
				return leat.Run(ctx, leat.NewConsumer(b, subscriptions[name], h, nil))
			})
		}
		service("billing", billing)
		service("shipping", func(l ledger, _ leat.Publisher) leat.Handler { return shipping(l) })
		for i := range 10 {
			e, err := OrderPlaced.New(Order{ID: fmt.Sprint("A-", i), Cents: 1 + i})
			require.NoError(t, err)
			x.Publish(OrderPlaced.Topic, e)
		}
		x.ExactlyOnce("charges", func(e leat.Event) bool { return e.Type() == OrderPlaced.Name })
		x.ExactlyOnce("shipments", func(e leat.Event) bool { return e.Type() == OrderPaid.Name })
		x.NothingPoisoned(func(leat.Event) bool { return false })
	})
}

// chaosLedger is a database that survives the crashes of its service.
type chaosLedger struct {
	x *eventtest.Exploration
	e leat.Event
}

func (l chaosLedger) once(ctx context.Context, table, _ string, _ int) error {
	l.x.EffectOnce(ctx, l.e, table)
	return nil
}
