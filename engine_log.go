package leat

import (
	"log/slog"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/incidents"
)

const (
	// malformedAdvice says what a person can do about messages that are not events.
	malformedAdvice = "mend the program that sends them, or set the adapter's Mapping where they are meant to be so"
	// maxLogError and maxLogStack bound the text of an error and a stack, in bytes.
	maxLogError, maxLogStack = 1 << 10, 8 << 10
)

// journal writes the log of a Consumer or a Producer. It is called without the engine's lock,
// because values are made of errors that are foreign code.
type journal struct{ incidents.Log }

// note writes a line of l, or counts it. Kinds of a line, such as reasons, are counted apart.
// values returns what the attributes of l have, in their order.
func (j *journal) note(l logLine, kind string, values func() []any) {
	if j.Off() {
		return
	}
	j.Note(&logLines[l], kind, func() []any {
		all := values()
		for i, v := range all {
			if err, ok := v.(error); ok {
				all[i] = brief(err, maxLogError)
			}
		}
		return all
	})
}

// note writes a line whose values need no foreign code. The lock is free.
func (e *engine) note(l logLine, values ...any) {
	e.c.journal.note(l, "", func() []any { return values })
}

// noteLater is journal.note for when the lock is free. The lock is held.
func (e *engine) noteLater(l logLine, values func() []any) {
	if j := &e.c.journal; !j.Off() {
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
	if j.Off() {
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
	if e.c.journal.Off() || it.d.Malformed != nil {
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
	if e.c.journal.Off() || it.d.Malformed != nil {
		return
	}
	d, attempt, reason := it.d, it.attempts, it.poison.Reason
	e.noteLater(l, func() []any { return append(about(&d), attempt, reason) })
}

// logMalformed writes a line about a delivery that is not an event: the first of a kind of reason,
// and then the number of these. The lock is held.
func (e *engine) logMalformed(it *item) {
	j := &e.c.journal
	if j.Off() {
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
	if e.stallWatched || e.stalled || e.stopping || e.c.journal.Off() {
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
	e.c.journal.Flush()
}

// logLine is a message of the log. The table in docs/operations.md has the same lines.
type logLine uint8

const (
	lineStarted logLine = iota
	lineStopped
	lineStoppedBadly
	lineFailed
	linePanicked
	linePoisoned
	linePutBack
	lineDeadLettered
	lineStuck
	lineMalformed
	lineReduced
	lineQueueDown
	lineQueueUp
	lineRefused
	linePaused
	lineUnpaused
	lineStalled
	lineReceiving
	lineOutage
	lineOutageOver
	lineLeaseLost
	lineSkipped
	lineManySkipped
	lineAlone
	lineNotesFail
	lineNotesWork
	lineNotesMissing
	linePublishesFail
	linePublishing
)

// logLines has what each line looks like. The attributes are those behind topic and group of a
// Consumer, in the order in which a caller gives their values; one without a value is left out.
var logLines = [...]incidents.Line{
	lineStarted:      {Level: slog.LevelInfo, Message: "consumer started"},
	lineStopped:      {Level: slog.LevelInfo, Message: "consumer stopped"},
	lineStoppedBadly: {Level: slog.LevelError, Message: "consumer stopped with an error", Attributes: "error"},
	lineFailed: {
		Level: slog.LevelWarn, Message: "event failed and is tried again",
		Attributes: "type id key position attempt delay error",
	},
	linePanicked: {
		Level: slog.LevelError, Message: "handler panicked",
		Attributes: "type id key position attempt delay error stack",
	},
	linePoisoned: {
		Level: slog.LevelError, Message: "event is in the poison queue",
		Attributes: "type id key position attempt poison_topic error",
	},
	linePutBack: {
		Level: slog.LevelWarn, Message: "event failed again in a replay and is back in the poison queue",
		Attributes: "type id key position attempt replays error",
	},
	lineDeadLettered: {
		Level: slog.LevelError, Message: "event was rejected to the broker's dead letters",
		Attributes: "type id key position attempt error",
	},
	lineStuck: {
		Level: slog.LevelError, Message: "event stays unsettled: it was rejected and there is no poison queue",
		Attributes: "type id key position attempt error",
	},
	lineMalformed: {
		Level: slog.LevelError, Message: "message is not a CloudEvent; no handler gets it",
		Attributes: "position poison_topic error do", Most: 1,
	},
	lineReduced: {
		Level: slog.LevelWarn, Message: "poisoned event did not fit into the poison queue and was written in the reduced form",
		Attributes: "type id key position bytes kept_data_bytes dropped_attributes",
	},
	lineQueueDown: {
		Level: slog.LevelError, Message: "poison queue failed; rejected events stay unsettled until it works",
		Attributes: "poison_topic error",
	},
	lineQueueUp: {Level: slog.LevelInfo, Message: "poison queue works again", Attributes: "poison_topic"},
	lineRefused: {
		Level: slog.LevelError, Message: "poison queue refuses an event, which stays unsettled and is tried again",
		Attributes: "type id key position poison_topic error do",
	},
	linePaused:   {Level: slog.LevelWarn, Message: "consumer paused", Attributes: "by until type id error"},
	lineUnpaused: {Level: slog.LevelInfo, Message: "consumer continues after a pause", Attributes: "paused"},
	lineStalled: {
		Level: slog.LevelError, Message: "consumer stalled: events that do not finish use up its limits",
		Attributes: "in_flight bytes parked running refused",
	},
	lineReceiving: {Level: slog.LevelInfo, Message: "consumer receives again"},
	lineOutage: {
		Level: slog.LevelWarn, Message: "a handler cannot publish; its event waits, and no attempt is counted",
		Attributes: "type id key position error",
	},
	lineOutageOver: {Level: slog.LevelInfo, Message: "no event waits any more for a publish of its handler"},
	lineLeaseLost: {
		Level: slog.LevelWarn, Message: "lease lost; its unfinished events are handled again",
		Attributes: "in_flight error",
	},
	lineSkipped: {
		Level: slog.LevelInfo, Message: "no route wants events of this type; they are skipped",
		Attributes: "type", Most: maxUnrouted + 1,
	},
	lineManySkipped: {
		Level: slog.LevelInfo, Message: "more types of events than are named here have no route; they are skipped",
		Attributes: "named",
	},
	lineAlone: {
		Level: slog.LevelWarn, Message: "an event over MaxDeliveries runs alone",
		Attributes: "type id key position deliveries waiting",
	},
	lineNotesFail: {
		Level: slog.LevelError, Message: "events over MaxDeliveries wait, because their runs cannot be noted",
		Attributes: "notes error",
	},
	lineNotesWork: {Level: slog.LevelInfo, Message: "runs of events over MaxDeliveries can be noted again", Attributes: "notes"},
	lineNotesMissing: {
		Level: slog.LevelError, Message: "that a run of an event over MaxDeliveries came back could not be noted; it counts as one that did not",
		Attributes: "runs",
	},
	linePublishesFail: {Level: slog.LevelWarn, Message: "publishes to a topic fail", Attributes: "topic error"},
	linePublishing: {
		Level: slog.LevelInfo, Message: "publishes to a topic succeed again",
		Attributes: "topic refused unknown lasted",
	},
}
