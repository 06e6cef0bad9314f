package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// The first middleware is the outermost: it sees the event first and the outcome last. This is the
// order that the package is made for; spy prints what passes between two of them.
func Example_order() {
	spy := func(between string) leat.Middleware {
		return func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				_, deadline := ctx.Deadline()
				fmt.Printf("event   in  %-27s a deadline: %v\n", between, deadline)
				err := next.Handle(ctx, e)
				fmt.Printf("outcome out %-27s rejected: %-5v error: %v\n", between, leat.IsRejected(err), err)
				return err
			})
		}
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: only("level", "attempt", "outcome")}))
	store := middleware.NewMemoryStore(0, time.Hour)

	charge := leat.HandlerFunc(func(context.Context, leat.Event) error { return errors.New("no answer of the bank") })
	handler := leat.Chain(charge,
		middleware.Logging(logger), // one record of the outcome that counts
		spy("Logging > Retry"),
		middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, NoJitter: true}), // an error becomes a delay, or a reject at the limit
		spy("Retry > Idempotent"),
		middleware.Idempotent(store, nil), // passes over what was handled; marks after success
		spy("Idempotent > Timeout"),
		middleware.Timeout(10*time.Second), // bounds the handler, and nothing else
		spy("Timeout > handler"),
	)

	event, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{ID: "1", Source: "/shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for attempt := range 2 { // as a Consumer would, after the delay
		ctx := leat.ContextWithInfo(context.Background(), leat.Info{Topic: "orders", Group: "billing", Attempt: attempt + 1})
		_ = handler.Handle(ctx, event)
	}

	// Output:
	// event   in  Logging > Retry             a deadline: false
	// event   in  Retry > Idempotent          a deadline: false
	// event   in  Idempotent > Timeout        a deadline: false
	// event   in  Timeout > handler           a deadline: true
	// outcome out Timeout > handler           rejected: false error: no answer of the bank
	// outcome out Idempotent > Timeout        rejected: false error: no answer of the bank
	// outcome out Retry > Idempotent          rejected: false error: no answer of the bank
	// outcome out Logging > Retry             rejected: false error: retry after 100ms: no answer of the bank
	// level=WARN attempt=1 outcome=retry
	// event   in  Logging > Retry             a deadline: false
	// event   in  Retry > Idempotent          a deadline: false
	// event   in  Idempotent > Timeout        a deadline: false
	// event   in  Timeout > handler           a deadline: true
	// outcome out Timeout > handler           rejected: false error: no answer of the bank
	// outcome out Idempotent > Timeout        rejected: false error: no answer of the bank
	// outcome out Retry > Idempotent          rejected: false error: no answer of the bank
	// outcome out Logging > Retry             rejected: true  error: gave up after 2 attempts in 0s: no answer of the bank
	// level=ERROR attempt=2 outcome=reject
}

// only keeps the named attributes of a log record.
func only(names ...string) func([]string, slog.Attr) slog.Attr {
	return func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains(names, a.Key) {
			return a
		}
		return slog.Attr{}
	}
}
