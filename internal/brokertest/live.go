package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
)

// What follows is for tests on a real broker, which other tests may use at the same time.

// Patience is how long to wait for what must happen, on a busy machine.
const Patience = 30 * time.Second

// Long reports whether the tests run with their full counts, as LEAT_LONG says.
func Long() bool { return os.Getenv("LEAT_LONG") != "" }

var names atomic.Int64 //nolint:gochecknoglobals // one count for all tests of the process

// Name returns a name for a topic that no other test uses.
func Name(t testing.TB) string {
	t.Helper()
	base := strings.NewReplacer("/", "-", "#", "-", "_", "-", "=", "-", ",", "-").Replace(t.Name())
	return fmt.Sprintf("%s.%d.%d", base[:min(len(base), 80)], time.Now().UnixNano()%1_000_000_000, names.Add(1))
}

// Events returns events first to last-1, whose ids are their numbers, with as many keys; 0 keys are
// none.
func Events(t testing.TB, first, last, keys int) []leat.Event {
	t.Helper()
	var events []leat.Event
	for i := first; i < last; i++ {
		o := &leat.EventOptions{ID: strconv.Itoa(i), Source: "/live"}
		if keys > 0 {
			o.Key = fmt.Sprint("key-", i%keys)
		}
		events = append(events, mustEvent(t, o))
	}
	return events
}

// Event returns an event whose id, source and time are the same each time where o has none.
func Event(t testing.TB, o leat.EventOptions) leat.Event {
	t.Helper()
	if o.ID == "" {
		o.ID = "1"
	}
	if o.Source == "" {
		o.Source = "/s"
	}
	if o.Time.IsZero() {
		o.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	}
	e, err := leat.NewEvent("t", &o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustEvent(t testing.TB, o *leat.EventOptions) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("live", o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Hold receives until n deliveries have come.
func Hold(t testing.TB, s leat.Stream, n int) []leat.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), Patience, errors.New("the events do not come"))
	defer cancel()
	var all []leat.Delivery
	for len(all) < n {
		into := make([]leat.Delivery, n-len(all))
		got, err := s.Receive(ctx, into)
		if err != nil {
			var health error
			if h, ok := s.(leat.HealthReporter); ok {
				health = h.Health()
			}
			t.Fatalf("%d of %d events came: %v; health: %v", len(all), n, err, health)
		}
		all = append(all, into[:got]...)
	}
	return all
}

// Receive receives until n deliveries have come, acknowledges them and returns their ids.
func Receive(t testing.TB, s leat.Stream, n int) []string {
	t.Helper()
	var ids []string
	for _, d := range Hold(t, s, n) {
		ids = append(ids, d.Event.ID())
		s.Settle(&d, leat.Settlement{Action: leat.Ack})
	}
	return ids
}

// Nothing checks that nothing more comes for a while.
func Nothing(t testing.TB, s leat.Stream, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	into := make([]leat.Delivery, 1)
	n, err := s.Receive(ctx, into)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d: event %s came, or an error: %v", n, into[0].Event.ID(), err)
	}
}

// Vacant returns an address where nobody listens.
func Vacant(t testing.TB) string {
	t.Helper()
	l, addr := listen(t)
	_ = l.Close()
	return addr
}

// Silent returns an address where connections are taken and nothing is answered, until the test
// ends.
func Silent(t testing.TB) string {
	t.Helper()
	l, addr := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	return addr
}

func listen(t testing.TB) (l net.Listener, addr string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Addr().String()
}
