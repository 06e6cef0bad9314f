package fault

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// incidentPeriod is the time in which an Incident writes at most incidentMost lines of what
	// is wrong.
	incidentPeriod = time.Minute
	incidentMost   = 10
	// maxIncidentError bounds the text of an error in a line, in bytes.
	maxIncidentError = 1 << 10
)

// Incident writes the log of something that is wrong from time to time and then lasts, such as a
// lost connection: one line when it begins, one for each other reason that comes up while it lasts,
// and one when it is over, with how long it took. However often an adapter tries and fails, there
// is no line for each attempt.
//
// It writes at most 10 lines in a minute of what is wrong. What comes on top has no line, unless it
// is still wrong when the minute is over; the attribute more of the next line counts it. The end
// has a line if the beginning has.
//
// An Incident is safe for concurrent use. It holds no lock while it calls the Logger, and neither
// should its caller.
type Incident struct {
	Logger *slog.Logger // nil means no log

	mu    sync.Mutex
	since time.Time       // when the incident began; zero while nothing is wrong
	kinds map[string]bool // the reasons that came up in it, and whether each has a line
	begun time.Time       // of the period
	lines int             // in the period
	more  int             // reasons without a line
}

// Wrong notes that something is wrong, and writes a WARN line with the attribute error and attrs
// unless there is one of this kind in the incident. A kind is a reason that is worth a line of its
// own: use few, such as a word for the place and the error's code.
func (i *Incident) Wrong(message, kind string, err error, attrs ...slog.Attr) {
	more, due := i.begin(kind, time.Now())
	if due {
		i.write(slog.LevelWarn, message, append(attrs, slog.String("error", logged(err))), more)
	}
}

// begin notes a reason. It returns whether a line is due, and how many reasons before it have none.
func (i *Incident) begin(kind string, now time.Time) (more int, due bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.since.IsZero() {
		i.since, i.kinds = now, map[string]bool{}
	}
	told, seen := i.kinds[kind]
	if told {
		return 0, false
	}
	if now.Sub(i.begun) >= incidentPeriod {
		i.begun, i.lines = now, 0
	}
	if i.lines >= incidentMost {
		if !seen {
			i.kinds[kind] = false
			i.more++
		}
		return 0, false
	}
	if seen { // it was counted
		i.more--
	}
	i.kinds[kind] = true
	i.lines++
	more, i.more = i.more, 0
	return more, true
}

// Well notes that nothing is wrong any more. If the incident has a line, Well writes one at INFO
// with attrs and the attribute lasted, the time since the incident began. When nothing was wrong,
// Well does nothing.
func (i *Incident) Well(message string, attrs ...slog.Attr) {
	now := time.Now()
	i.mu.Lock()
	since, more, due := i.since, i.more, false
	for _, told := range i.kinds {
		due = due || told
	}
	i.since, i.kinds = time.Time{}, nil
	if due {
		i.more = 0
	}
	i.mu.Unlock()
	if due {
		lasted := now.Sub(since).Round(time.Millisecond)
		i.write(slog.LevelInfo, message, append(attrs, slog.String("lasted", lasted.String())), more)
	}
}

func (i *Incident) write(level slog.Level, message string, attrs []slog.Attr, more int) {
	if i.Logger == nil {
		return
	}
	if more > 0 {
		attrs = append(attrs, slog.Int("more", more))
	}
	//nolint:sloglint // a constant of the caller
	i.Logger.LogAttrs(context.Background(), level, message, attrs...)
}

// logged returns the text of an error as one line of bounded length.
func logged(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxIncidentError {
		text = strings.ToValidUTF8(text[:maxIncidentError], "") + " ..."
	}
	return text
}
