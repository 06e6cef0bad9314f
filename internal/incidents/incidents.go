// Package incidents writes a log with one line for each incident, and a bounded number of lines
// however many incidents there are.
package incidents

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// Period is the time in which at most Most lines of one Line are written. What comes on top is
	// counted, and the newest of it is written when the period is over.
	Period = time.Minute
	// Most is the bound of a Line without its own.
	Most = 10
	// maxKinds bounds the kinds of one Line that are counted apart.
	maxKinds = 20
)

// Line is a message of the log. It is passed by pointer, which tells it from others.
type Line struct {
	Level   slog.Level
	Message string
	// Attributes are the names of its attributes, behind Topic and Group of the Log, in the order
	// in which Note gets their values. One without a value, nil or "", is left out.
	Attributes string
	// Most is how many lines of it are written in a Period. 0 means the constant Most.
	Most int
}

// Log writes the lines. It has a lock of its own, which it does not hold while it calls the Logger.
// Its methods may be called from several goroutines at once.
type Log struct {
	Logger       *slog.Logger // nil means no log
	Topic, Group string       // of every line; an empty Topic means neither

	mu     sync.Mutex
	counts map[kind]*counted
	timer  *time.Timer // nil while nothing is held back
	ended  bool        // Flush was called, and Open was not since

	summing sync.Mutex // held while the lines of a period that is over are written
}

// kind is what is counted together: the incidents of one Line, or of one kind of it.
type kind struct {
	line *Line
	name string
}

// counted has the lines of a kind in the period that began last.
type counted struct {
	began  time.Time
	lines  int
	more   int          // incidents without a line
	newest func() []any // values of the last of these
}

// Off reports whether nobody reads the log, so that there is no need to gather anything for it.
func (j *Log) Off() bool { return j.Logger == nil }

// Note writes a line of l, or counts it. Kinds of a line, such as reasons, are counted apart.
// values returns what the attributes of l have, in their order. After Flush, what
// it counts waits for the next line of its kind.
func (j *Log) Note(l *Line, name string, values func() []any) {
	if j.Off() || !j.Logger.Enabled(context.Background(), l.Level) {
		return
	}
	now := time.Now()
	j.mu.Lock()
	c := j.count(kind{l, name}, now)
	if now.Sub(c.began) >= Period {
		c.began, c.lines = now, 0
	}
	if c.lines >= cmp.Or(l.Most, Most) {
		c.more++
		c.newest = values
		if j.timer == nil && !j.ended {
			j.timer = time.AfterFunc(c.began.Add(Period).Sub(now), j.sum)
		}
		j.mu.Unlock()
		return
	}
	c.lines++
	more := c.more
	c.more, c.newest = 0, nil
	j.mu.Unlock()
	j.write(l, values(), more)
}

// count returns the count of a kind. Of a line with too many kinds at a time, the others share one.
// The lock is held.
func (j *Log) count(k kind, now time.Time) *counted {
	if c, ok := j.counts[k]; ok {
		return c
	}
	if j.counts == nil {
		j.counts = map[kind]*counted{}
	}
	if k.name != "" {
		kinds := 0
		for other, c := range j.counts {
			switch {
			case other.line != k.line:
			case c.more == 0 && now.Sub(c.began) >= Period:
				delete(j.counts, other) // its next line begins a new period
			default:
				kinds++
			}
		}
		if kinds >= maxKinds {
			return j.count(kind{line: k.line}, now)
		}
	}
	c := &counted{}
	j.counts[k] = c
	return c
}

// sum writes what was counted in periods that are over. The timer calls it.
func (j *Log) sum() {
	j.summing.Lock()
	defer j.summing.Unlock()
	j.writeCounted(false)
}

// Open begins another run after Flush. The first one needs no Open.
func (j *Log) Open() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = false
}

// Flush writes all that was counted, at the end of a run. Until Open, no timer writes anything, but
// Note does, such as for an answer that comes late.
func (j *Log) Flush() {
	j.mu.Lock()
	j.ended = true
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Unlock()
	j.summing.Lock() // the timer's function may run
	defer j.summing.Unlock()
	j.writeCounted(true)
}

// writeCounted writes one line for each kind that has some counted, and sets the timer for those
// whose period is not over.
func (j *Log) writeCounted(all bool) {
	type late struct {
		line   *Line
		values func() []any
		more   int
	}
	var due []late
	var next time.Time
	now := time.Now()
	j.mu.Lock()
	for k, c := range j.counts {
		over := c.began.Add(Period)
		switch {
		case c.more == 0:
		case all || !over.After(now):
			due = append(due, late{k.line, c.newest, c.more - 1})
			*c = counted{began: now, lines: 1}
		case next.IsZero() || over.Before(next):
			next = over
		}
	}
	j.timer = nil
	if !next.IsZero() && !j.ended {
		j.timer = time.AfterFunc(next.Sub(now), j.sum)
	}
	j.mu.Unlock()
	for _, c := range due {
		j.write(c.line, c.values(), c.more)
	}
}

// write writes one line. more is how many incidents before it have none.
func (j *Log) write(l *Line, values []any, more int) {
	attrs := make([]slog.Attr, 0, 12)
	if j.Topic != "" {
		attrs = append(attrs, slog.String("topic", j.Topic), slog.String("group", j.Group))
	}
	for i, name := range strings.Fields(l.Attributes) {
		switch v := values[i].(type) {
		case nil:
		case string:
			if v != "" {
				attrs = append(attrs, slog.String(name, v))
			}
		default:
			attrs = append(attrs, slog.Any(name, v))
		}
	}
	if more > 0 {
		attrs = append(attrs, slog.Int("more", more))
	}
	//nolint:sloglint // a message of the table
	j.Logger.LogAttrs(context.Background(), l.Level, l.Message, attrs...)
}
