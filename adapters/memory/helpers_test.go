package memory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

var (
	billing   = leat.Subscription{Topic: "orders", Group: "billing"}
	unordered = leat.Subscription{Topic: "orders", Group: "billing", Unordered: true}
	ack       = leat.Settlement{Action: leat.Ack}
	giveBack  = leat.Settlement{Action: leat.GiveBack}
)

// bubble runs f with fake time and a broker that is closed at the end; goroutines or timers that
// are left fail the test.
func bubble(t *testing.T, o *memory.Options, f func(t *testing.T, b *memory.Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(o)
		f(t, b)
		require.NoError(t, b.Close())
	})
}

func event(t testing.TB, id, key string, size int) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("test.v1", &leat.EventOptions{ID: id, Source: "/test", Key: key, Data: make([]byte, size)})
	require.NoError(t, err)
	return e
}

// events makes count events with the ids key-0, key-1 and so on.
func events(t testing.TB, key string, count int) (all []leat.Event) {
	t.Helper()
	for i := range count {
		all = append(all, event(t, fmt.Sprintf("%s-%d", key, i), key, 10))
	}
	return all
}

// outcomes publishes and returns the outcome of each event, having checked P1. It may be called in
// any goroutine.
func outcomes(ctx context.Context, t testing.TB, b *memory.Broker, topic string, events ...leat.Event) []error {
	t.Helper()
	var mu sync.Mutex
	errs, calls := make([]error, len(events)), make([]int, len(events))
	b.Publish(ctx, topic, events, func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs[i] = err
		calls[i]++
	})
	mu.Lock()
	defer mu.Unlock()
	for i, n := range calls {
		assert.Equal(t, 1, n, "P1: done for event %d when Publish has returned", i)
	}
	return errs
}

func publish(t testing.TB, b *memory.Broker, events ...leat.Event) {
	t.Helper()
	for _, err := range outcomes(context.Background(), t, b, "orders", events...) {
		require.NoError(t, err)
	}
}

func declare(t testing.TB, b *memory.Broker, subs ...leat.Subscription) {
	t.Helper()
	require.NoError(t, b.Declare(context.Background(), subs...))
}

// open declares and subscribes.
func open(t testing.TB, b *memory.Broker, sub leat.Subscription) *memory.Stream {
	t.Helper()
	declare(t, b, sub)
	s, err := b.Subscribe(context.Background(), sub)
	require.NoError(t, err)
	return s.(*memory.Stream)
}

// receive waits for n deliveries.
func receive(t testing.TB, s leat.Stream, n int) []leat.Delivery {
	t.Helper()
	got, err := await(s, n)
	require.NoError(t, err, "after %d of %d deliveries", len(got), n)
	return got
}

// receiving does it in a goroutine.
func receiving(t testing.TB, s leat.Stream, n int) <-chan []leat.Delivery {
	t.Helper()
	all := make(chan []leat.Delivery)
	go func() {
		got, err := await(s, n)
		assert.NoError(t, err, "after %d of %d deliveries", len(got), n)
		all <- got
	}()
	return all
}

// await returns what was received before an error as well.
func await(s leat.Stream, n int) ([]leat.Delivery, error) {
	into := make([]leat.Delivery, n)
	for got := 0; got < n; {
		ctx, cancel := context.WithTimeout(context.Background(), 48*time.Hour)
		k, err := s.Receive(ctx, into[got:])
		cancel()
		if err == nil && k <= 0 {
			err = fmt.Errorf("received %d deliveries and no error", k)
		}
		if err != nil {
			return into[:got], err
		}
		got += k
	}
	return into, nil
}

// nothing checks that no delivery comes for d.
func nothing(t testing.TB, s leat.Stream, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	into := make([]leat.Delivery, 1)
	n, err := s.Receive(ctx, into)
	require.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "delivered %s", ids(into[:n]))
}

func ids(ds []leat.Delivery) (all []string) {
	for _, d := range ds {
		if d.Malformed != nil {
			all = append(all, "raw:"+string(d.Malformed.Body))
			continue
		}
		all = append(all, d.Event.ID())
	}
	return all
}

func settle(s leat.Stream, how leat.Settlement, ds ...leat.Delivery) {
	for i := range ds {
		s.Settle(&ds[i], how)
	}
}

func requireCode(t testing.TB, code leat.Code, err error) {
	t.Helper()
	require.Equal(t, code.String(), leat.CodeOf(err).String(), "%v", err)
}

func requireDepth(t testing.TB, b *memory.Broker, queued, unsettled int) {
	t.Helper()
	q, u, err := b.Depth("orders", "billing")
	require.NoError(t, err)
	require.Equal(t, [2]int{queued, unsettled}, [2]int{q, u}, "queued and unsettled")
}

// holder attaches to a lease and keeps what happens to it.
type holder struct {
	mu      sync.Mutex
	release func()
	ends    int
	cause   error
}

func hold(l *leat.Lease) *holder {
	h := &holder{}
	l.Attach(func(release func()) {
		h.mu.Lock()
		h.release = release
		h.mu.Unlock()
	}, func(cause error) {
		h.mu.Lock()
		h.ends++
		h.cause = cause
		h.mu.Unlock()
	})
	return h
}

// let calls release, which must have been asked for.
func (h *holder) let(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	release := h.release
	h.mu.Unlock()
	require.NotNil(t, release, "the lease was not drained")
	release()
}
