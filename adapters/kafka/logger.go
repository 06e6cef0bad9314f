package kafka

import (
	"context"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logger passes on what the client logs, at debug level: what matters of it is in errors and in
// health. The client logs no payload and no secret.
type logger struct {
	to    *slog.Logger
	conns *connections
}

// Level is asked by the client before it puts a line together.
func (l logger) Level() kgo.LogLevel {
	if l.to.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelError
}

// Log logs one line. That a broker refuses the credentials is only seen here: no hook of the client
// is told.
func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	keyvals = slices.Clone(keyvals)
	for i, v := range keyvals {
		if err, ok := v.(error); ok {
			if level == kgo.LogLevelError && isRefusedLogin(err) {
				l.conns.failed("", err)
			}
			keyvals[i] = discreet(err)
		}
	}
	l.to.Debug("Kafka client", append([]any{"says", msg, "severity", level.String()}, keyvals...)...)
}
