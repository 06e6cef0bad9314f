package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/health"
)

// answer is what a client of a path gets.
type answer struct {
	status    int
	State     string `json:"state"`
	Consumers []struct {
		Topic  string `json:"topic"`
		Group  string `json:"group"`
		Health struct {
			State    string `json:"state"`
			Problems []struct {
				Code  string `json:"code"`
				Error string `json:"error"`
			} `json:"problems"`
		} `json:"health"`
	} `json:"consumers"`
	Producers []struct {
		Health struct {
			State    string `json:"state"`
			Problems []struct {
				Code  string `json:"code"`
				Topic string `json:"topic"`
				Error string `json:"error"`
			} `json:"problems"`
		} `json:"health"`
	} `json:"producers"`
}

func get(t *testing.T, h http.Handler, path string) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	a := answer{status: w.Code}
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	return a
}

var sub = leat.Subscription{Topic: "orders", Group: "billing"}

func TestLifeOfAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		defer func() { assert.NoError(t, broker.Close()) }()
		var fail error
		c := leat.NewConsumer(broker, sub, leat.HandlerFunc(func(context.Context, leat.Event) error { return fail }), nil)
		h := health.Handler([]*leat.Consumer{c, nil}, nil)
		status := func(path string) int { return get(t, h, path).status }

		a := get(t, h, "/readyz")
		assert.Equal(t, "stopped", a.State)
		assert.Equal(t, "orders", a.Consumers[0].Topic)
		assert.Equal(t, "billing", a.Consumers[0].Group)
		assert.Equal(t, []int{503, 200}, []int{a.status, status("/livez")}, "before Run")

		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- leat.Run(ctx, c) }()
		synctest.Wait()
		assert.Equal(t, []int{200, 200}, []int{status("/readyz"), status("/livez")}, "healthy")

		c.Pause()
		assert.Equal(t, "paused", get(t, h, "/readyz").State)
		assert.Equal(t, []int{200, 200}, []int{status("/readyz"), status("/livez")}, "paused")
		c.Resume()

		fail = errors.New("no row")
		e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s"})
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(broker, nil).Publish(ctx, sub.Topic, e))
		time.Sleep(time.Minute)
		a = get(t, h, "/readyz")
		assert.Equal(t, "degraded", a.State)
		assert.Contains(t, a.Consumers[0].Health.Problems[0].Error, "no row")
		assert.Equal(t, []int{200, 200}, []int{a.status, status("/livez")}, "degraded")

		stop()
		require.NoError(t, <-ended)
		assert.Equal(t, []int{503, 200}, []int{status("/readyz"), status("/livez")}, "stopped in order")
	})
}

func TestRunEndedWithAnError(t *testing.T) {
	broker := memory.New(&memory.Options{Provision: memory.ProvisionVerify})
	defer func() { assert.NoError(t, broker.Close()) }()
	nothing := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	c := leat.NewConsumer(broker, sub, nothing, nil)
	require.Error(t, leat.Run(t.Context(), c))
	h := health.Handler([]*leat.Consumer{c})
	for _, path := range []string{"/livez", "/readyz"} {
		a := get(t, h, path)
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
		assert.Equal(t, "not found", a.Consumers[0].Health.Problems[0].Code)
	}
}

// waiting is a broker that does not accept a subscription.
type waiting struct{ leat.Broker }

func (waiting) Subscribe(ctx context.Context, _ leat.Subscription) (leat.Stream, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestStartingIsAliveAndNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		defer func() { assert.NoError(t, broker.Close()) }()
		nothing := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
		c := leat.NewConsumer(waiting{broker}, sub, nothing, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- leat.Run(ctx, c) }()
		synctest.Wait()
		h := health.Handler([]*leat.Consumer{c})
		a := get(t, h, "/readyz")
		assert.Equal(t, "starting", a.State)
		assert.Equal(t, []int{503, 200}, []int{a.status, get(t, h, "/livez").status})
		stop()
		require.NoError(t, <-ended)
	})
}

func TestOtherRequests(t *testing.T) {
	h := health.Handler(nil)
	assert.Equal(t, 200, get(t, h, "/readyz").status, "a program that only publishes")
	for path, want := range map[string]int{"/other": http.StatusNotFound, "/livez": http.StatusMethodNotAllowed} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
		assert.Equal(t, want, w.Code, path)
	}
}

func TestRunRefusedTheConsumer(t *testing.T) {
	broker := memory.New(nil)
	t.Cleanup(func() { assert.NoError(t, broker.Close()) })
	nothing := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	good := leat.NewConsumer(broker, sub, nothing, nil)
	bad := leat.NewConsumer(broker, sub, nothing, &leat.ConsumerOptions{Concurrency: -1})
	require.Error(t, leat.Run(t.Context(), good, bad))
	for _, c := range []*leat.Consumer{good, bad} {
		a := get(t, health.Handler([]*leat.Consumer{c}), "/livez")
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
		assert.Contains(t, a.Consumers[0].Health.Problems[0].Error, "Concurrency")
	}
}

// broken is a broker whose streams end at once, with errors that are told all.
type broken struct{ leat.Broker }

func (broken) Subscribe(context.Context, leat.Subscription) (leat.Stream, error) {
	return nil, errors.Join(errors.New("wrong password"),
		&leat.Error{Op: "subscribe", Code: leat.CodeUnavailable, Err: errors.New("disk is full")})
}

func TestEveryErrorOfARunIsShownAndLogged(t *testing.T) {
	broker := memory.New(nil)
	t.Cleanup(func() { assert.NoError(t, broker.Close()) })
	nothing := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	var log bytes.Buffer
	c := leat.NewConsumer(broken{broker}, sub, nothing, &leat.ConsumerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Error(t, leat.Run(t.Context(), c))
	a := get(t, health.Handler([]*leat.Consumer{c}), "/livez")
	require.Len(t, a.Consumers[0].Health.Problems, 1)
	assert.Equal(t, "wrong password; subscribe: disk is full", a.Consumers[0].Health.Problems[0].Error)
	assert.Contains(t, log.String(), "consumer stopped with an error")
}

// down is a broker that takes nothing while it is down.
type down struct {
	leat.Broker

	is *bool
}

func (b down) Publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if !*b.is {
		b.Broker.Publish(ctx, topic, events, done)
		return
	}
	for i := range events {
		done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: errors.New("no route to host")})
	}
}

// A program that only publishes is no longer blind: an outage shows, and fails neither path.
func TestLifeOfAProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, is := memory.New(nil), false
		defer func() { assert.NoError(t, broker.Close()) }()
		p := leat.NewProducer(down{broker, &is}, nil)
		h := health.Handler(nil, p, nil)
		a := get(t, h, "/readyz")
		assert.Equal(t, []any{200, "healthy", 1}, []any{a.status, a.State, len(a.Producers)})

		e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s"})
		require.NoError(t, err)
		is = true
		require.Error(t, p.Publish(t.Context(), "orders", e))
		for _, path := range []string{"/livez", "/readyz"} {
			a = get(t, h, path)
			assert.Equal(t, []any{200, "degraded"}, []any{a.status, a.State}, path)
			require.Len(t, a.Producers[0].Health.Problems, 1)
			problem := a.Producers[0].Health.Problems[0]
			assert.Equal(t, []string{"unavailable", "orders"}, []string{problem.Code, problem.Topic})
			assert.Equal(t, "publishes fail (1 refused, 0 unknown): no route to host, since 2000-01-01T00:00:00Z",
				problem.Error)
		}
		is = false
		require.NoError(t, p.Publish(t.Context(), "orders", e))
		assert.Equal(t, "healthy", get(t, h, "/readyz").State)

		require.NoError(t, p.Close(t.Context()))
		assert.Equal(t, []int{503, 200}, []int{get(t, h, "/readyz").status, get(t, h, "/livez").status}, "closed")
		assert.Equal(t, []int{503, 200}, []int{
			get(t, health.Handler(nil, leat.NewProducer(nil, nil)), "/readyz").status,
			get(t, health.Handler(nil, leat.NewProducer(nil, nil)), "/livez").status,
		}, "without a broker")
	})
}
