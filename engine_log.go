package leat

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat/internal/aside"
)

const (
	// logPeriod is the time in which at most logMost lines of one message are written. What comes
	// on top is counted, and the newest of it is written when the period is over.
	logPeriod = time.Minute
	logMost   = 10
	// maxLogKinds bounds the kinds of one message that are counted apart.
	maxLogKinds = 20
	// malformedAdvice says what a person can do about messages that are not events.
	malformedAdvice = "mend the program that sends them, or set the adapter's Mapping where they are meant to be so"
	// maxLogError and maxLogStack bound the text of an error and a stack, in bytes.
	maxLogError, maxLogStack = 1 << 10, 8 << 10
)

// journal writes the log of a Consumer or a Producer: one line for each incident, and a bounded
// number of lines however many incidents there are. It has its own lock, which it does not hold
// while it calls the Logger, and is called without the engine's: values are made of errors that are
// foreign code.
type journal struct {
	log          *slog.Logger // nil means no log
	topic, group string       // of a Consumer

	mu     sync.Mutex
	counts map[logKind]*logCount
	timer  *time.Timer // nil while nothing is held back

	summing sync.Mutex // held while the lines of a period that is over are written
}

// logKind is what is counted together: the incidents of one message, or of one kind of it.
type logKind struct {
	line logLine
	kind string
}

// logCount counts the lines of a kind in the period that began last.
type logCount struct {
	began  time.Time
	lines  int
	more   int          // incidents without a line
	newest func() []any // values of the last of these
}

// off reports whether nobody reads the log, so that there is no need to gather anything for it.
func (j *journal) off() bool { return j.log == nil }

// note writes a line of l, or counts it. Kinds of a line, such as reasons, are counted apart.
// values returns what the attributes of l have, in their order.
func (j *journal) note(l logLine, kind string, values func() []any) {
	if j.off() || !j.log.Enabled(context.Background(), logLines[l].level) {
		return
	}
	now := time.Now()
	j.mu.Lock()
	c := j.count(logKind{l, kind}, now)
	if now.Sub(c.began) >= logPeriod {
		c.began, c.lines = now, 0
	}
	if c.lines >= cmp.Or(logLines[l].most, logMost) {
		c.more++
		c.newest = values
		if j.timer == nil {
			j.timer = time.AfterFunc(c.began.Add(logPeriod).Sub(now), j.sum)
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
func (j *journal) count(k logKind, now time.Time) *logCount {
	if c, ok := j.counts[k]; ok {
		return c
	}
	if j.counts == nil {
		j.counts = map[logKind]*logCount{}
	}
	if k.kind != "" {
		kinds := 0
		for other, c := range j.counts {
			switch {
			case other.line != k.line:
			case c.more == 0 && now.Sub(c.began) >= logPeriod:
				delete(j.counts, other) // its next line begins a new period
			default:
				kinds++
			}
		}
		if kinds >= maxLogKinds {
			return j.count(logKind{line: k.line}, now)
		}
	}
	c := &logCount{}
	j.counts[k] = c
	return c
}

// sum writes what was counted in periods that are over. The timer calls it.
func (j *journal) sum() {
	j.summing.Lock()
	defer j.summing.Unlock()
	j.writeCounted(false)
}

// flush writes all that was counted, at the end of a run. Nothing is written after it.
func (j *journal) flush() {
	j.mu.Lock()
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
func (j *journal) writeCounted(all bool) {
	type counted struct {
		line   logLine
		values func() []any
		more   int
	}
	var due []counted
	var next time.Time
	now := time.Now()
	j.mu.Lock()
	for k, c := range j.counts {
		over := c.began.Add(logPeriod)
		switch {
		case c.more == 0:
		case all || !over.After(now):
			due = append(due, counted{k.line, c.newest, c.more - 1})
			*c = logCount{began: now, lines: 1}
		case next.IsZero() || over.Before(next):
			next = over
		}
	}
	j.timer = nil
	if !next.IsZero() {
		j.timer = time.AfterFunc(next.Sub(now), j.sum)
	}
	j.mu.Unlock()
	for _, c := range due {
		j.write(c.line, c.values(), c.more)
	}
}

// write writes one line. more is how many incidents before it have none.
func (j *journal) write(l logLine, values []any, more int) {
	attrs := make([]slog.Attr, 0, 12)
	if j.topic != "" {
		attrs = append(attrs, slog.String("topic", j.topic), slog.String("group", j.group))
	}
	for i, name := range l.names() {
		switch v := values[i].(type) {
		case nil:
		case error:
			attrs = append(attrs, slog.String(name, brief(v, maxLogError)))
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
	j.log.LogAttrs(context.Background(), logLines[l].level, logLines[l].message, attrs...)
}

// note writes a line whose values need no foreign code. The lock is free.
func (e *engine) note(l logLine, values ...any) {
	e.c.journal.note(l, "", func() []any { return values })
}

// noteLater is journal.note for when the lock is free. The lock is held.
func (e *engine) noteLater(l logLine, values func() []any) {
	if j := &e.c.journal; !j.off() {
		e.after = append(e.after, func() { j.note(l, "", values) })
	}
}

// about returns the values of type, id, key and position.
func about(d *Delivery) []any {
	values := []any{"", "", "", cut(d.Position.String())}
	if d.Malformed == nil {
		values[0], values[1], values[2] = cut(d.Event.Type()), cut(d.Event.ID()), cut(d.orderKey())
	}
	return values
}

// logFailure writes a line about an attempt that failed and is followed by another: the first of
// its event, and each that panicked where the one before did not. The lock is free.
func (e *engine) logFailure(it *item, o outcome, err error) {
	j := &e.c.journal
	if j.off() {
		return
	}
	crashed := o.crash != nil && it.failure == nil
	switch {
	case crashed:
	case o.kind != outcomeRetry && o.kind != outcomeFailing, it.attempts > 1:
		return
	}
	d, attempt, delay := it.d, it.attempts, o.delay
	values := func() []any { return append(about(&d), attempt, delay.Round(time.Millisecond).String(), reasonOf(err)) }
	if !crashed {
		j.note(lineFailed, "", values)
		return
	}
	_, stack, _ := strings.Cut(o.crash.Error(), stackMark)
	j.note(linePanicked, "", func() []any { return append(values(), "goroutine "+stack[:min(len(stack), maxLogStack)]) })
}

// logPoisoned writes a line about an event that is in the poison queue. A malformed delivery has
// one already. The lock is free.
func (e *engine) logPoisoned(it *item) {
	if e.c.journal.off() || it.d.Malformed != nil {
		return
	}
	d, attempt, topic, reason := it.d, it.attempts, e.poison.topic, it.poison.Reason
	if _, back := e.c.o.PoisonQueue.(aside.PutsBack); back {
		e.c.journal.note(linePutBack, "", func() []any {
			p, _ := PoisonedFrom(d.Event) // where somebody else wrote it, this is the first time
			return append(about(&d), attempt, p.Replays+1, reason)
		})
		return
	}
	e.c.journal.note(linePoisoned, "", func() []any { return append(about(&d), attempt, topic, reason) })
}

// logRejected writes a line, when the lock is free, about a rejected event that goes to no poison
// queue. The lock is held.
func (e *engine) logRejected(l logLine, it *item) {
	if e.c.journal.off() || it.d.Malformed != nil {
		return
	}
	d, attempt, reason := it.d, it.attempts, it.poison.Reason
	e.noteLater(l, func() []any { return append(about(&d), attempt, reason) })
}

// logMalformed writes a line about a delivery that is not an event: the first of a kind of reason,
// and then the number of these. The lock is held.
func (e *engine) logMalformed(it *item) {
	j := &e.c.journal
	if j.off() {
		return
	}
	position, topic, reason := it.d.Position, e.poison.topic, it.d.Malformed.Reason
	e.after = append(e.after, func() {
		kind := kindOf(brief(reason, maxLogError))
		j.note(lineMalformed, kind, func() []any {
			return []any{cut(position.String()), topic, reason, malformedAdvice}
		})
	})
}

// reasonOf returns what [RetryAfter] or [Pause] was given, without the delay, which is told apart.
func reasonOf(err error) error {
	if v, ok := err.(*verdict); ok && v.err != nil { //nolint:errorlint // the outermost only
		return v.err
	}
	return err
}

// kindOf returns a text without the values in it, which are numbers and what is in quotes.
func kindOf(text string) string { return withoutValues(text, false) }

// withoutValues leaves out numbers, and what is in quotes unless quotes is set.
func withoutValues(text string, quotes bool) string {
	var b strings.Builder
	quoted, number := false, false
	for _, r := range text {
		switch digit := '0' <= r && r <= '9'; {
		case r == '"':
			quoted = !quoted
		case quoted && quotes:
			b.WriteRune(r)
		case quoted, digit && number:
		case digit:
			number = true
			b.WriteByte('0')
		default:
			number = false
			b.WriteRune(r)
		}
		if b.Len() >= 200 {
			break
		}
	}
	return b.String()
}

// pauseState is the pause that a handler asked for. It lasts until the outcome of an attempt after
// its end: one that asks for a pause again, such as a probe, has renewed it.
type pauseState struct {
	since time.Time     // zero without one
	over  time.Duration // when its time was over, on the engine's clock; 0 before
	event Event         // of the newest attempt that asked for it
	err   error
}

// logPaused writes a line about the beginning of a pause. The lock is held.
func (e *engine) logPaused(by string, until time.Time, event Event, err error) {
	e.noteLater(linePaused, func() []any {
		end := ""
		if !until.IsZero() {
			end = until.UTC().Format(time.RFC3339)
		}
		values := []any{by, end, "", "", nil}
		if err != nil {
			values[2], values[3], values[4] = cut(event.Type()), cut(event.ID()), reasonOf(err)
		}
		return values
	})
}

// logUnpaused writes a line when no pause is left of one that lasted so long. The lock is held.
func (e *engine) logUnpaused(lasted time.Duration) {
	if e.pausedNow() || e.stopping {
		return
	}
	took := lasted.Round(time.Millisecond).String()
	e.noteLater(lineUnpaused, func() []any { return []any{took} })
}

// watchStall sees to it that a stall is logged. One timer serves all of them: it is set when the
// limits are used up, at most once in StallAfter. The lock is held.
func (e *engine) watchStall() {
	if e.stallWatched || e.stalled || e.stopping || e.c.journal.off() {
		return
	}
	e.stallWatched = true
	left := e.c.o.StallAfter - (e.now() - e.fullAt)
	if e.stallTimer == nil {
		e.stallTimer = time.AfterFunc(left, e.onStall)
	} else {
		e.stallTimer.Reset(left)
	}
}

// onStall is what watchStall's timer does.
func (e *engine) onStall() {
	e.c.mu.Lock()
	defer e.unlock(nil)
	e.stallWatched = false
	switch {
	case !e.full || e.stopping:
	case e.now()-e.fullAt < e.c.o.StallAfter:
		e.watchStall()
	default:
		e.stalled = true
		values := []any{e.all.count, e.all.bytes, e.park.count(), e.running + e.poison.running, e.poison.refused}
		e.noteLater(lineStalled, func() []any { return values })
	}
}

// logReceiving writes a line when a stall that was logged is over. The lock is held, and somebody
// else's unlock writes it.
func (e *engine) logReceiving() {
	e.stalled = false
	e.noteLater(lineReceiving, func() []any { return nil })
}

// logLost writes a line about a lease that was lost with events in flight. The lock is held.
func (e *engine) logLost(w *leaseWork, cause error) {
	if w.unsettled == 0 || cause == nil {
		return
	}
	events := w.unsettled
	e.noteLater(lineLeaseLost, func() []any { return []any{events, cause} })
}

// stopLog ends what the log has timers for.
func (e *engine) stopLog() {
	e.c.mu.Lock()
	if e.stallTimer != nil {
		e.stallTimer.Stop()
	}
	e.c.mu.Unlock()
	e.c.journal.flush()
}
