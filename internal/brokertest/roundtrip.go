package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// Handle runs a Consumer until it has handled n events successfully, and returns them in the order
// in which they succeeded. A nil h handles everything. ctx bounds it.
func Handle(ctx context.Context, t testing.TB, b leat.Broker, sub leat.Subscription, n int, h func(e leat.Event) error,
	more ...leat.Middleware,
) []leat.Event {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var got []leat.Event
	c := leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		if h != nil {
			if err := h(e); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if got = append(got, e); len(got) == n {
			stop()
		}
		return nil
	}), &leat.ConsumerOptions{Middleware: more})
	if err := leat.Run(ctx, c); err != nil {
		t.Fatal(err)
	}
	if len(got) != n {
		t.Fatalf("%d events were handled instead of %d", len(got), n)
	}
	return got
}

// Shapes returns 60 events of 7 keys, and some without, with data of every kind.
func Shapes(t testing.TB) []leat.Event {
	t.Helper()
	var events []leat.Event
	for i := range 60 {
		o := &leat.EventOptions{
			ID: strconv.Itoa(i), Source: "/s", Key: fmt.Sprintf("k%d", i%7), Extensions: map[string]any{"n": i, "yes": true},
		}
		switch i % 4 {
		case 0:
			o.Data, o.DataContentType = []byte(`{"a":1}`), "application/json"
		case 1:
			o.Data = []byte{}
		case 2:
			o.Data, o.Key, o.Subject = []byte{0, 0xff}, "", "Köln"
		}
		events = append(events, mustEvent(t, o))
	}
	return events
}

// RoundTrip publishes events of every shape and handles each of them at the second attempt. They
// are unchanged and in the order of their keys, and nothing comes twice after a clean stop.
func RoundTrip(ctx context.Context, t testing.TB, b leat.Broker, sub leat.Subscription) {
	t.Helper()
	events, marker := Shapes(t), mustEvent(t, &leat.EventOptions{ID: "marker", Source: "/s"})
	publish := func(events ...leat.Event) {
		t.Helper()
		if err := leat.NewProducer(b, nil).Publish(ctx, sub.Topic, events...); err != nil {
			t.Fatal(err)
		}
	}
	if err := leat.Declare(ctx, b, sub); err != nil {
		t.Fatal(err)
	}
	publish(events...)
	var failed sync.Map
	got := Handle(ctx, t, b, sub, len(events), func(e leat.Event) error {
		if _, again := failed.LoadOrStore(e.ID(), true); !again {
			return errors.New("once")
		}
		return nil
	}, middleware.Retry(&middleware.RetryOptions{InitialDelay: time.Millisecond}))
	seen, last := map[string]leat.Event{}, map[string]int{}
	for _, e := range got {
		seen[e.ID()] = e
		var i int
		_, _ = fmt.Sscan(e.ID(), &i)
		if key := e.Key(); key != "" {
			if i+1 <= last[key] {
				t.Errorf("order of %s: %d came after %d", key, i, last[key]-1)
			}
			last[key] = i + 1
		}
	}
	for _, e := range events {
		if !seen[e.ID()].Equal(e) || !bytes.Equal(seen[e.ID()].Data(), e.Data()) {
			t.Errorf("%v was changed to %v", e, seen[e.ID()])
		}
	}
	publish(marker)
	if next := Handle(ctx, t, b, sub, 1, nil)[0]; next.ID() != marker.ID() {
		t.Errorf("%v came again", next)
	}
}
