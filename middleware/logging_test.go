package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// logger returns a logger and a function that returns its records.
func logger(t *testing.T, level slog.Level) (*slog.Logger, func() []map[string]any) {
	t.Helper()
	var mu sync.Mutex
	var buf bytes.Buffer
	write := writerFunc(func(p []byte) (int, error) { // the Consumer may log while the test reads
		mu.Lock()
		defer mu.Unlock()
		return buf.Write(p)
	})
	l := slog.New(slog.NewJSONHandler(write, &slog.HandlerOptions{Level: level}))
	return l, func() []map[string]any {
		mu.Lock()
		defer mu.Unlock()
		var records []map[string]any
		for line := range strings.Lines(buf.String()) {
			var r map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &r))
			records = append(records, r)
		}
		return records
	}
}

func TestLoggingWritesOneRecordPerAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, records := logger(t, slog.LevelDebug)
		h := middleware.Logging(l)(leat.HandlerFunc(func(context.Context, leat.Event) error {
			time.Sleep(3 * time.Second)
			return leat.RetryAfter(time.Minute, errDown)
		}))
		ctx := leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 2, Deliveries: 7})
		require.ErrorIs(t, h.Handle(ctx, newEvent(t, "order.placed", "/shop", "42")), errDown)
		got := records()
		require.Len(t, got, 1)
		delete(got[0], "time")
		assert.Equal(t, map[string]any{
			"level": "WARN", "msg": "event attempt", "type": "order.placed", "id": "42",
			"source": "/shop", "topic": "orders", "group": "billing", "attempt": 2.0, "deliveries": 7.0,
			"duration": 3e9, "outcome": "retry", "error": "retry after 1m0s: the database is down",
		}, got[0])
	})
}

func TestLoggingOutcomes(t *testing.T) {
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(leat.ErrLeaseLost)
	for _, c := range []struct {
		name           string
		ctx            context.Context
		err            error
		level, outcome string
	}{
		{"success", t.Context(), nil, "DEBUG", "handled"},
		{"success after the end", ended, nil, "DEBUG", "handled"},
		{"an error", t.Context(), errDown, "WARN", "retry"},
		{"RetryAfter", t.Context(), leat.RetryAfter(1, errDown), "WARN", "retry"},
		{"Postpone", t.Context(), leat.Postpone(1, errDown), "DEBUG", "postpone"},
		{"Pause", t.Context(), leat.Pause(1, errDown), "WARN", "pause"},
		{"Reject", t.Context(), leat.Reject(errDown), "ERROR", "reject"},
		{"a lost lease", ended, context.Canceled, "INFO", "ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, records := logger(t, slog.LevelDebug)
			err := middleware.Logging(l)(returns(c.err)).Handle(c.ctx, newEvent(t, "a", "/test", "1"))
			assert.Equal(t, c.err, err, "the outcome is passed on unchanged")
			got := records()
			require.Len(t, got, 1)
			assert.Equal(t, c.level, got[0]["level"])
			assert.Equal(t, c.outcome, got[0]["outcome"])
			if c.err == nil {
				assert.NotContains(t, got[0], "error")
			} else {
				assert.Equal(t, c.err.Error(), got[0]["error"])
			}
		})
	}
}

// An event that no route wants is not one that was handled.
func TestLoggingSeesASkip(t *testing.T) {
	l, records := logger(t, slog.LevelDebug)
	router := leat.NewRouter(leat.Route{Type: "wanted", Handler: returns(nil)})
	for _, kind := range []string{"wanted", "other"} {
		require.NoError(t, middleware.Logging(l)(router).Handle(attempt(t.Context(), 1, time.Now()), newEvent(t, kind, "/test", "1")))
	}
	got := records()
	require.Len(t, got, 2)
	assert.Equal(t, []any{"wanted", "handled", "DEBUG"}, []any{got[0]["type"], got[0]["outcome"], got[0]["level"]})
	assert.Equal(t, []any{"other", "skipped", "DEBUG"}, []any{got[1]["type"], got[1]["outcome"], got[1]["level"]})
}

func TestLoggingSeesAPanicGoThrough(t *testing.T) {
	l, records := logger(t, slog.LevelDebug)
	h := middleware.Logging(l)(leat.HandlerFunc(func(context.Context, leat.Event) error { panic("the payload") }))
	assert.PanicsWithValue(t, "the payload", func() { _ = h.Handle(t.Context(), newEvent(t, "a", "/test", "1")) })
	got := records()
	require.Len(t, got, 1)
	assert.Equal(t, "panic", got[0]["outcome"])
	assert.Equal(t, "ERROR", got[0]["level"])
	assert.NotContains(t, got[0], "error")
}

func TestLoggingSeesGoexitGoThrough(t *testing.T) {
	l, records := logger(t, slog.LevelDebug)
	h := middleware.Logging(l)(leat.HandlerFunc(func(context.Context, leat.Event) error { runtime.Goexit(); return nil }))
	e := newEvent(t, "a", "/test", "1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Handle(context.Background(), e)
	}()
	<-done
	got := records()
	require.Len(t, got, 1)
	assert.Equal(t, "panic", got[0]["outcome"])
}

func TestLoggingCutsWhatComesFromOutside(t *testing.T) {
	l, records := logger(t, slog.LevelDebug)
	long := strings.Repeat("x", 127) + strings.Repeat("é", 1_000) // byte 128 is within a character
	err := errors.New(strings.Repeat("y", 1023) + strings.Repeat("é", 100_000))
	require.Error(t, middleware.Logging(l)(returns(err)).Handle(t.Context(), newEvent(t, long, strings.Repeat("x", 1_000), long)))
	got := records()
	require.Len(t, got, 1)
	for _, name := range []string{"type", "id"} {
		assert.Equal(t, strings.Repeat("x", 127)+"...", got[0][name], name)
	}
	assert.Equal(t, strings.Repeat("x", 128)+"...", got[0]["source"])
	assert.Equal(t, strings.Repeat("y", 1023)+"...", got[0]["error"])
}

func TestLoggingNeverLogsThePayload(t *testing.T) {
	l, records := logger(t, slog.LevelDebug)
	for _, err := range []error{nil, errDown, leat.Reject(errDown), leat.Pause(1, errDown)} {
		_ = middleware.Logging(l)(returns(err)).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
	}
	got := records()
	require.Len(t, got, 4)
	assert.NotContains(t, fmt.Sprint(got), "the payload")
}

func TestLoggingTakesOnlyTheLevelsThatAreOn(t *testing.T) {
	e := newEvent(t, "a", "/test", "1")
	l, records := logger(t, slog.LevelWarn)
	require.NoError(t, middleware.Logging(l)(returns(nil)).Handle(t.Context(), e))
	assert.Empty(t, records())

	ctx := attempt(t.Context(), 1, time.Now())
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelError + 1} {
		l, _ = logger(t, level)
		h := middleware.Logging(l)(returns(nil))
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = h.Handle(ctx, e) }), "a level that is off costs no allocation")
	}
	l, records = logger(t, slog.LevelError+1)
	require.Error(t, middleware.Logging(l)(returns(leat.Reject(errDown))).Handle(t.Context(), e))
	assert.Empty(t, records())
}

func TestLoggingWithoutALogger(t *testing.T) {
	assert.Equal(t, errDown, middleware.Logging(nil)(returns(errDown)).Handle(t.Context(), newEvent(t, "a", "/test", "1")))
}
