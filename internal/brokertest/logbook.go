package brokertest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// Logbook keeps a log, whose lines a test reads while it is written.
type Logbook struct {
	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements [io.Writer].
func (l *Logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

// Logger returns one that writes text into the book.
func (l *Logbook) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// String returns all that was written.
func (l *Logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// With returns the lines that have a text.
func (l *Logbook) With(text string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}
