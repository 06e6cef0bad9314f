package eventtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// Timeline draws what caused what: below each published event the groups that received it, below
// these their attempts and what became of them, below an attempt the events that its handler
// published. The left column is the time since the Recorder was made. Events are named by type, id
// and key; their data is not in it.
func (r *Recorder) Timeline() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	w := timelineWriter{b: &b, now: r.now()}
	for _, p := range r.published {
		if p.root {
			w.publication(p, 0)
		}
	}
	w.end()
	return b.String()
}

// timelineWriter writes the lines of a timeline.
type timelineWriter struct {
	b     *strings.Builder
	now   time.Duration
	limit int // of lines; 0 means none
	lines int
}

// end says how much was left out.
func (w *timelineWriter) end() {
	if w.limit > 0 && w.lines > w.limit {
		fmt.Fprintf(w.b, "and %d more lines, which Recorder.Timeline has\n", w.lines-w.limit)
	}
}

// columnWidth is how wide the column of times is.
const columnWidth = 12

func column(at time.Duration) string { return fmt.Sprintf("%-*s", columnWidth, short(at).String()) }

func (w *timelineWriter) line(time string, depth int, text string) {
	w.lines++
	if w.limit > 0 && w.lines > w.limit {
		return
	}
	fmt.Fprintf(w.b, "%-*s%s%s\n", columnWidth, time, strings.Repeat("  ", depth), text)
}

func (w *timelineWriter) at(at time.Duration, depth int, text string) {
	w.line(short(at).String(), depth, text)
}

func (w *timelineWriter) publication(p *publication, depth int) {
	text := fmt.Sprintf("%s: %s", p.topic.name, describe(p.event, p.key))
	switch p.state {
	case pubPending:
		text += ", not confirmed"
	case pubFailed:
		text += ", failed" + because(p.err)
	case pubForeign:
		text += ", published by somebody else"
	case pubStored:
	}
	w.at(p.at, depth, text)
	for _, v := range p.visits {
		w.visit(v, depth+1)
	}
}

func (w *timelineWriter) visit(v *visit, depth int) {
	if len(v.steps) == 0 && (!v.group.counts() || v.pub.state == pubFailed) {
		return
	}
	text := v.group.name
	if v.open {
		text += ", not settled"
	}
	w.line("", depth, text)
	if len(v.steps) == 0 {
		w.line("", depth+1, "not delivered")
	}
	for i, s := range w.shown(v.steps) {
		if s == nil {
			w.line("", depth+1, fmt.Sprintf("... %d more like these", len(v.steps)-2*shownSteps))
			continue
		}
		w.step(s, depth+1, i == 0 && len(v.steps) > 1)
	}
}

// shownSteps is how many steps at either end of a visit a timeline shows whose lines are limited.
const shownSteps = 5

// shown leaves out the middle of a long row of steps; nil stands for it. What published something
// is never left out.
func (w *timelineWriter) shown(steps []*step) []*step {
	if w.limit == 0 || len(steps) <= 2*shownSteps+1 {
		return steps
	}
	middle := steps[shownSteps : len(steps)-shownSteps]
	if slices.ContainsFunc(middle, func(s *step) bool { return len(s.published) > 0 }) {
		return steps
	}
	return slices.Concat(steps[:shownSteps], []*step{nil}, steps[len(steps)-shownSteps:])
}

// step writes a step and what was published in it. The first delivery is not worth a line when more
// happened.
func (w *timelineWriter) step(s *step, depth int, first bool) {
	switch s.kind {
	case RecordDelivered:
		if !first {
			w.at(s.at, depth, string(s.kind))
		}
	case RecordAttempted:
		w.at(s.at, depth, fmt.Sprintf("attempt %d: %s", s.attempt, w.outcome(s)))
	case RecordGivenBack:
		w.at(s.at, depth, string(s.kind)+wait(s.delay))
	default:
		w.at(s.at, depth, string(s.kind)+because(s.err))
	}
	for _, p := range s.published {
		w.publication(p, depth+1)
	}
}

func (w *timelineWriter) outcome(s *step) string {
	text, took := string(s.outcome), s.end-s.at
	switch s.outcome {
	case "":
		return fmt.Sprintf("running for %v", short(w.now-s.at))
	case RecordRetried:
		text = "failed, again" + wait(s.delay)
	case RecordPostponed, RecordPaused:
		text += fmt.Sprintf(" for %v", short(s.delay))
	}
	if took >= time.Millisecond {
		text += fmt.Sprintf(", after %v", short(took))
	}
	return text + because(s.err)
}

func wait(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf(" in %v", short(d))
}

// short drops the digits of a duration that nobody reads.
func short(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// describe names an event, by the transport's key where it has none of its own.
func describe(e leat.Event, transportKey string) string {
	if e.IsZero() {
		return "a malformed delivery"
	}
	text := e.Type() + " " + e.ID()
	if key := e.Key(); key != "" {
		text += ", key " + key
	} else if transportKey != "" {
		text += fmt.Sprintf(", key of the transport %q", transportKey)
	}
	return text
}

// maxErrorBytes is how much of an error is shown.
const maxErrorBytes = 200

// because says why, in one line.
func because(err error) string {
	if err == nil {
		return ""
	}
	text, _, more := strings.Cut(err.Error(), "\n")
	if len(text) > maxErrorBytes {
		text, more = strings.ToValidUTF8(text[:maxErrorBytes], ""), true
	}
	if more {
		text += "..."
	}
	return ": " + text
}
