package leat_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
)

// attemptLog is a slog.Handler that keeps what middleware.Logging writes.
type attemptLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *attemptLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *attemptLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *attemptLog) WithGroup(string) slog.Handler            { return l }

func (l *attemptLog) Handle(_ context.Context, r slog.Record) error {
	values := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		values[a.Key], _, _ = strings.Cut(a.Value.String(), "\n")
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(fmt.Sprint(
		values["id"], " ", values["attempt"], " ", values["duration"], " ", values["outcome"], " ", r.Level, " ", values["error"])))
	return nil
}

// sorted returns the lines by event and attempt.
func (l *attemptLog) sorted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.lines))
}

// usual is the middleware that a service has around its handler.
func usual(l *attemptLog, store middleware.Store) []leat.Middleware {
	return []leat.Middleware{
		middleware.Logging(slog.New(l)),
		middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3, InitialDelay: time.Second, NoJitter: true}),
		middleware.Idempotent(store, nil),
	}
}

// TestBatchBesideTheUsualMiddleware: each event of a batch has its own attempts, outcomes, records
// and marks.
func TestBatchBesideTheUsualMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr, l := newFakeBroker(), newTrace(), &attemptLog{}
		store := middleware.NewMemoryStore(0, 0)
		b.deliver(leat.NewLease(), batchEvents(t, "a b c d")...)
		options := &leat.ConsumerOptions{Middleware: usual(l, store), PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
			tr.at("poison %s %d", p.Event.ID(), p.Info.Attempt)
			return nil
		})}
		calls := 0
		r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 4, MaxWait: 10 * time.Millisecond}, options,
			func(_ context.Context, events []leat.Event) error {
				tr.at("%s", sortedIDs(events))
				outcomes := make(leat.BatchErrors, len(events))
				calls++
				for i, e := range events {
					switch {
					case e.ID() == "b":
						outcomes[i] = errBoom
					case e.ID() == "c" && calls == 1:
						outcomes[i] = leat.RetryAfter(time.Minute, errBoom)
					case e.ID() == "d":
						outcomes[i] = leat.Reject(errBoom)
					}
				}
				return outcomes
			})
		settle(time.Hour)
		assert.Equal(t, []string{"0s a b c d", "0s poison d 1", "1.01s b", "3.02s b", "3.02s poison b 3", "1m0.01s c"}, tr.all())
		b.deliver(leat.NewLease(), batchEvents(t, "a c")...) // what was handled comes again
		settle(time.Hour)
		assert.Len(t, tr.all(), 6, "and is in no batch")
		assert.Equal(t, []string{
			"a 1 0s handled DEBUG",
			"a 1 0s handled DEBUG",
			"b 1 0s retry WARN retry after 1s: boom",
			"b 2 10ms retry WARN retry after 2s: boom",
			"b 3 10ms reject ERROR gave up after 3 attempts in 3.02s: boom",
			"c 1 0s handled DEBUG",
			"c 1 0s retry WARN retry after 1m0s: boom",
			"c 2 10ms handled DEBUG",
			"d 1 0s reject ERROR boom",
		}, l.sorted())
		s := r.consumer.Stats()
		assert.EqualValues(t, 4, s.Handled)
		assert.EqualValues(t, 2, s.Poisoned)
		assert.EqualValues(t, 3, s.Retried)
		r.stopClean()
	})
}

// TestBatchThatCrashesBesideTheUsualMiddleware: a panic or Goexit of the function is an error that
// Logging and Retry see for each event, and no event is marked.
func TestBatchThatCrashesBesideTheUsualMiddleware(t *testing.T) {
	for how, text := range map[string]string{
		"panic": "the batch handler panicked: a bug in the handler", "goexit": "the batch handler called runtime.Goexit",
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, tr, l := newFakeBroker(), newTrace(), &attemptLog{}
				b.deliver(leat.NewLease(), batchEvents(t, "a b")...)
				first := true
				options := &leat.ConsumerOptions{Middleware: usual(l, middleware.NewMemoryStore(0, 0))}
				r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 2}, options,
					func(_ context.Context, events []leat.Event) error {
						tr.at("%s", sortedIDs(events))
						if first {
							first = false
							crash(how)
						}
						return nil
					})
				settle(time.Minute)
				assert.Equal(t, []string{"0s a b", "1s a b"}, tr.all())
				assert.Equal(t, []string{
					"a 1 0s retry WARN retry after 1s: " + text, "a 2 0s handled DEBUG",
					"b 1 0s retry WARN retry after 1s: " + text, "b 2 0s handled DEBUG",
				}, l.sorted())
				r.stopClean()
			})
		})
	}
}

// TestBatchThatIsToldToStopBesideTheUsualMiddleware: the end of a lease is a failure of no event of
// its batch, and the log says so.
func TestBatchThatIsToldToStopBesideTheUsualMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr, l := newFakeBroker(), newTrace(), &attemptLog{}
		lost := leat.NewLease()
		b.deliver(lost, batchEvents(t, "a")...)
		b.deliver(leat.NewLease(), batchEvents(t, "b")...)
		first := true
		options := &leat.ConsumerOptions{Middleware: usual(l, middleware.NewMemoryStore(0, 0))}
		r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 2, MaxWait: time.Second}, options,
			func(ctx context.Context, events []leat.Event) error {
				tr.at("%s", sortedIDs(events))
				if first {
					first = false
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
		settle(time.Minute)
		lost.End(errBoom)
		settle(time.Minute)
		assert.Equal(t, []string{"0s a b", "1m1s b"}, tr.all())
		assert.Zero(t, r.consumer.Stats().Retried)
		assert.Equal(t, []string{
			"a 1 1m0s ended INFO context canceled",
			"b 1 1m0s postpone DEBUG postpone for 0s: the batch was told to stop, because another of its events was lost or " +
				"timed out: context canceled",
			"b 1 1s handled DEBUG",
		}, l.sorted())
		r.stopClean()
	})
}
