package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// errStuck is why a wait ends early.
var errStuck = errors.New("an event is stuck: it was given up, and there is no poison queue")

// Settled waits as [Recorder.Wait] does, no longer than the Timeout of the options, and fails the
// test when that is not enough. Only the goroutine of the test may call it.
func (r *Recorder) Settled(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), r.o.Timeout, fmt.Errorf("%v have passed", r.o.Timeout))
	defer cancel()
	if err := r.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// Wait returns nil as soon as everything that was published, and everything that this caused, is
// settled in every group: handled, skipped, or in the poison queue. It counts and does not watch
// the clock: each publish that is under way counts, and each stored event counts once for each
// group until it is acked, so one that waits for a retry, for its key's turn or for a consumer does
// too. An event counts for the groups that are declared or subscribed, with a history also for
// those that come later, and for broadcast streams that are there when it is published. What
// [leat.ReplayGroup] keeps counts once somebody subscribes to it.
//
// What an application does without an event in flight, such as publishing from a timer, is not
// waited for.
//
// The error says what is not settled when ctx ends, or, where the Recorder is the Observer, when an
// event is stuck, followed by the timeline.
func (r *Recorder) Wait(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for before := r.quiet; r.open+r.publishing > 0 && r.quiet == before; {
		if r.stuck > 0 && !r.o.KeepWaiting {
			return r.unsettled(errStuck)
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
			r.mu.Lock()
		case <-ctx.Done():
			r.mu.Lock()
			if r.open+r.publishing > 0 && r.quiet == before {
				return r.unsettled(context.Cause(ctx))
			}
		}
	}
	return nil
}

// The most that a failed wait prints.
const (
	maxOutstandingLines = 20
	maxTimelineLines    = 200
)

// unsettled is the error of a wait that failed.
func (r *Recorder) unsettled(cause error) error {
	var b strings.Builder
	missing := r.outstanding()
	fmt.Fprintf(&b, "eventtest: not settled: %v; outstanding: %d\n", cause, len(missing))
	for i, line := range missing {
		if i == maxOutstandingLines {
			fmt.Fprintf(&b, "  and %d more\n", len(missing)-i)
			break
		}
		b.WriteString("  " + line + "\n")
	}
	for _, group := range r.unobserved() {
		fmt.Fprintf(&b,
			"what the group %q does with its events is not seen: set the Observer of its leat.ConsumerOptions to the Recorder\n", group)
	}
	b.WriteString("what caused what, with the time since the Recorder was made:\n")
	w := timelineWriter{b: &b, now: r.now(), limit: maxTimelineLines}
	for _, p := range r.published {
		if p.root && p.unsettled() {
			w.publication(p, 0)
		}
	}
	w.end()
	return &waitError{cause: cause, text: strings.TrimSuffix(b.String(), "\n")}
}

// waitError keeps the cause of a failed wait for errors.Is.
type waitError struct {
	cause error
	text  string
}

func (e *waitError) Error() string { return e.text }

func (e *waitError) Unwrap() error { return e.cause }

// outstanding says of everything that is not settled where it is.
func (r *Recorder) outstanding() []string {
	var lines []string
	for _, p := range r.published {
		if p.state == pubPending {
			lines = append(lines, fmt.Sprintf("%s: the broker has not confirmed %s", p.topic.name, describe(p.event, p.key)))
		}
		for _, v := range p.visits {
			if v.open {
				lines = append(lines, fmt.Sprintf("%s %s: %s %s", p.topic.name, v.group.name, describe(p.event, p.key), v.whereabouts(r.now())))
			}
		}
	}
	return lines
}

// unobserved names the groups that hold what is not settled and have told nothing yet.
func (r *Recorder) unobserved() []string {
	var names []string
	for _, p := range r.published {
		for _, v := range p.visits {
			if v.held > 0 && !v.group.observed && !slices.Contains(names, v.group.name) {
				names = append(names, v.group.name)
			}
		}
	}
	return names
}

// whereabouts says why the visit is not settled.
func (v *visit) whereabouts(now time.Duration) string {
	nobody := "; the group has no consumer now"
	if v.group.streams > 0 {
		nobody = ""
	}
	if len(v.steps) == 0 {
		return "has not been delivered" + nobody
	}
	last := v.steps[len(v.steps)-1]
	if v.held == 0 {
		return "went back to the broker" + nobody
	}
	kind, at := last.kind, last.at
	if kind == RecordAttempted && last.outcome != "" {
		kind, at = last.outcome, last.end
	}
	switch kind {
	case RecordDelivered:
		if !v.group.observed {
			return "is in the consumer"
		}
		return "waits in the consumer for its turn"
	case RecordAttempted:
		return fmt.Sprintf("is in attempt %d; the handler has been running for %v", last.attempt, short(now-at))
	case RecordRetried:
		return fmt.Sprintf("waits for attempt %d, %s", last.attempt+1, due(at+last.delay-now))
	case RecordPostponed:
		return "was put off, " + due(at+last.delay-now)
	case RecordPaused:
		return "waits for the end of the pause that the handler asked for, " + due(at+last.delay-now)
	case RecordRejected:
		return "is on its way to the poison queue, which has not confirmed it"
	case RecordPoisonFailed:
		return "waits for the poison queue, which failed" + because(last.err)
	case RecordStuck:
		return "is stuck: it was given up, and there is no poison queue" + because(last.err)
	default:
		return "is about to be settled"
	}
}

func due(in time.Duration) string {
	if in <= 0 {
		return "which is due now"
	}
	return fmt.Sprintf("due in %v", short(in))
}

// unsettled reports whether p, or anything that it caused, is outstanding.
func (p *publication) unsettled() bool {
	if p.state == pubPending {
		return true
	}
	for _, v := range p.visits {
		if v.open {
			return true
		}
		for _, s := range v.steps {
			for _, caused := range s.published {
				if caused.unsettled() {
					return true
				}
			}
		}
	}
	return false
}
