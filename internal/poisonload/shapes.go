package poisonload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// Injector puts messages into a topic past the adapter, as other producers do.
type Injector struct {
	// Event injects an event in binary mode.
	Event func(ctx context.Context, topic string, e leat.Event) error
	// Raw injects a message that is not an event.
	Raw func(ctx context.Context, topic string, body []byte) error
	// LargeBytes is the size of an event that the broker takes, and the poison queue only without
	// what it adds.
	LargeBytes int
}

const (
	malformedBytes = 900_000
	small          = 300
)

// Shapes injects a malformed message of 900 kB, an event with 72 extensions, one of LargeBytes, and
// behind them 300 small malformed messages. All of them must come to the poison queue, whole or
// with what is missing.
func Shapes(tb testing.TB, broker leat.Broker, topic string, in Injector) {
	tb.Helper()
	ctx, stop := context.WithTimeoutCause(context.Background(), patience, errLate)
	defer stop()
	c := leat.NewConsumer(broker, leat.Subscription{Topic: topic, Group: "g"},
		leat.HandlerFunc(func(context.Context, leat.Event) error { return leat.Reject(errRejected) }),
		&leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(leat.NewProducer(broker, nil), nil)})
	var mu sync.Mutex
	var all []leat.Poisoned
	reader := leat.NewConsumer(broker, leat.ReplayOf(leat.Subscription{Topic: topic, Group: "g"}),
		leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			p, err := leat.PoisonedFrom(e)
			if err != nil {
				tb.Errorf("reading the poison queue: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, p)
			return nil
		}), nil)
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, c, reader) }()
	until(ctx, tb, "the consumer is subscribed", func() bool { return c.Health().State == leat.Healthy })

	many, large := manyAttributes(tb, "many"), largeEvent(tb, in.LargeBytes)
	for _, err := range []error{
		in.Raw(ctx, topic, bytes.Repeat([]byte{'{', 0xff, 0}, malformedBytes/3)), in.Event(ctx, topic, many), in.Event(ctx, topic, large),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	for i := range small {
		if err := in.Raw(ctx, topic, fmt.Appendf(nil, "malformed %d", i)); err != nil {
			tb.Fatal(err)
		}
	}
	until(ctx, tb, "everything is in the poison queue", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(all) >= small+3
	})
	checkShapes(tb, all, many, large)
	if h := c.Health(); h.State != leat.Healthy {
		tb.Errorf("the consumer is %v: %v", h.State, h.Problems)
	}
	stop()
	if err := <-result; err != nil {
		tb.Errorf("Run: %v", err)
	}
}

func checkShapes(tb testing.TB, all []leat.Poisoned, many, large leat.Event) {
	tb.Helper()
	seen := map[string]int{}
	for _, p := range all {
		switch {
		case p.Malformed != nil && p.Reduced == nil:
			seen["small"]++
		case p.Malformed != nil:
			seen["malformed"]++
			if p.Reduced.DataSize != malformedBytes || len(p.Malformed.Body) < malformedBytes/2 {
				tb.Errorf("of the malformed message are %d of %d bytes there", len(p.Malformed.Body), p.Reduced.DataSize)
			}
		case p.Reduced == nil:
			seen["many"]++
			if !p.Event.Equal(many) {
				tb.Errorf("another event than the one with many attributes: %v", p.Event)
			}
		default:
			seen["large"]++
			if p.Reduced.Size != large.Size() || !bytes.HasPrefix(large.Data(), p.Reduced.Event.Data()) || p.Reduced.Event.ID() != large.ID() {
				tb.Errorf("another event than the large one: %v of %d bytes", p.Reduced.Event, p.Reduced.Size)
			}
		}
	}
	for name, want := range map[string]int{"small": small, "malformed": 1, "many": 1, "large": 1} {
		if seen[name] != want {
			tb.Errorf("%d of %q are in the poison queue, not %d", seen[name], name, want)
		}
	}
}

// badType is the type of the events that are rejected.
const badType = "bad"

// manyAttributes is an event as another producer may have made it, with 72 extensions.
func manyAttributes(tb testing.TB, id string) leat.Event {
	tb.Helper()
	headers := required(id)
	for i := range 72 {
		headers = append(headers, leat.Header{Name: fmt.Sprintf("x%d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	return decoded(tb, headers, []byte("data"))
}

// largeEvent is a valid event of so many bytes.
func largeEvent(tb testing.TB, size int) leat.Event {
	tb.Helper()
	empty := decoded(tb, required("large"), []byte{})
	return decoded(tb, required("large"), bytes.Repeat([]byte{0xfe}, size-empty.Size()))
}

func required(id string) []leat.Header {
	return []leat.Header{
		{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte(id)}, {Name: "source", Value: []byte("/foreign")},
		{Name: "type", Value: []byte(badType)},
	}
}

func decoded(tb testing.TB, headers []leat.Header, data []byte) leat.Event {
	tb.Helper()
	e, err := new(leat.Decoder).Decode(headers, data)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

var (
	errRejected = errors.New("rejected by the test")
	errLate     = errors.New("the test takes too long")
)
