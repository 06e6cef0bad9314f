package middleware

import (
	"context"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/leatgo/leat"
)

// Logging writes one record, "event attempt", to l for each attempt, with these attributes:
//
//   - type, id and source of the event, each cut to 128 bytes
//   - topic and group of the subscription; attempt and deliveries, both counts as in [leat.Info]
//   - duration of the attempt
//   - outcome: "handled", "skipped" and "postpone" at level Debug, "retry" and "pause" at Warn, "reject" and "panic" at Error,
//     "ended" at Info
//   - error, cut to 1 KiB, unless the outcome is "handled" or "skipped"
//
// "skipped" means that no route of a [leat.Router] wanted the event. A message that is not a
// CloudEvent meets no middleware: the Logger of [leat.ConsumerOptions] tells of it.
//
// "ended" means that the Consumer ended the handler's context, on shutdown or with a lost lease,
// which is no failure. "panic" means that a panic, or runtime.Goexit, comes through; it goes on
// after the record is written, and carries no error.
//
// The event's data is never logged. The error's text is the handler's own. Put Logging outermost,
// so that it sees what [Retry] made of an error. A level that l does not take costs nothing but the
// question. A nil l means no log.
func Logging(l *slog.Logger) leat.Middleware {
	return func(next leat.Handler) leat.Handler {
		if l == nil {
			return next
		}
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if !l.Enabled(ctx, slog.LevelError) { // then no lower level is
				return next.Handle(ctx, e)
			}
			start := time.Now()
			outcome, level := outcomePanic, slog.LevelError
			var err error
			defer func() { record(ctx, l, e, outcome, level, err, start) }()
			err = next.Handle(ctx, e)
			outcome, level = outcomeOf(ctx, err)
			return err
		})
	}
}

// outcomePanic is the outcome of a handler that did not return.
const outcomePanic = "panic"

// outcomeOf returns the outcome in the log's words, and its level.
func outcomeOf(ctx context.Context, err error) (string, slog.Level) {
	switch {
	case err == nil && skipped(ctx):
		return "skipped", slog.LevelDebug
	case err == nil:
		return "handled", slog.LevelDebug
	case endedByConsumer(ctx):
		return "ended", slog.LevelInfo
	case leat.IsRejected(err):
		return "reject", slog.LevelError
	case leat.IsPostponed(err):
		return "postpone", slog.LevelDebug
	case leat.IsPaused(err):
		return "pause", slog.LevelWarn
	default:
		return "retry", slog.LevelWarn
	}
}

func skipped(ctx context.Context) bool {
	info, _ := leat.InfoFrom(ctx)
	return info.Skipped
}

// The limits of what comes from outside, in bytes.
const (
	maxLoggedName  = 128
	maxLoggedError = 1 << 10
)

func record(ctx context.Context, l *slog.Logger, e leat.Event, outcome string, level slog.Level, err error, start time.Time) {
	if !l.Enabled(ctx, level) {
		return
	}
	duration := time.Since(start)
	info, _ := leat.InfoFrom(ctx)
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("type", cut(e.Type(), maxLoggedName)),
		slog.String("id", cut(e.ID(), maxLoggedName)),
		slog.String("source", cut(e.Source(), maxLoggedName)),
		slog.String("topic", info.Topic),
		slog.String("group", info.Group),
		slog.Int("attempt", max(info.Attempt, 1)),
		slog.Int("deliveries", info.Deliveries),
		slog.Duration("duration", duration),
		slog.String("outcome", outcome),
	)
	if err != nil {
		attrs = append(attrs, slog.String("error", cut(err.Error(), maxLoggedError)))
	}
	l.LogAttrs(ctx, level, "event attempt", attrs...)
}

// cut returns s, or its first limit bytes without a broken character at the end, and "...".
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "..."
}
