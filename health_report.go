package leat

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/failing"
)

// maxHealthText is how long the text of a problem may be, in bytes, before the middle of its cause
// is left out.
const maxHealthText = 190

// maxReportedText is the same for what a stream or a broker says of itself.
const maxReportedText = 300

// symptom is something that is wrong with a Consumer or a Producer.
type symptom struct {
	state HealthState
	code  Code  // 0 stands for that of the cause
	cause error // foreign code; nil where there is none
	text  string
	since time.Time // zero where nobody knows
	// advice says what to do about cause; nil where text says it.
	advice func(cause error) string
}

// symptomError is the cause of a problem in [Health]: a text that was made once, in one line.
type symptomError struct {
	text string
	err  error
}

func (s *symptomError) Error() string { return s.text }

func (s *symptomError) Unwrap() error { return s.err }

// Health returns how c is. It is cheap and does not touch the network.
func (c *Consumer) Health() Health {
	c.mu.Lock()
	e := c.engine
	if e == nil || e.stopped {
		ended := c.ended
		c.mu.Unlock()
		h := Health{State: Stopped}
		for _, err := range appendReported(nil, ended) {
			h.Problems = append(h.Problems, err)
		}
		return h
	}
	symptoms := e.symptoms()
	stream := e.stream
	c.mu.Unlock()

	return healthOf(symptoms, said{op: "consume", topic: c.sub.Topic}, stream, c.broker)
}

// Health returns how p is. It is cheap and does not touch the network. A Producer is [Degraded]
// while its broker reports a problem, and from a publish to a topic that failed until one to that
// topic succeeds, or none to it has failed for an hour: what was refused, and what has no known
// outcome, as when the broker does not answer in the time of a Publish. An event that is wrong or
// too large says nothing, and neither does a caller that gave up. Of more than 100 topics that
// fail, those count to which publishes failed last. It is [Stopped] once it was closed, and where
// the arguments of [NewProducer] were wrong.
func (p *Producer) Health() Health {
	p = p.fit()
	switch {
	case p.invalid != nil:
		return Health{Stopped, []error{&Error{Op: "publish", Code: CodeInvalid, Err: p.invalid}}}
	case p.closed.Load():
		return Health{State: Stopped}
	}
	about := said{op: "publish"}
	var symptoms []symptom
	if all := p.failing.All(); len(all) > 0 {
		about.topic = all[0].Name
		symptoms = append(symptoms, publishSymptom(all))
	}
	return healthOf(symptoms, about, p.broker)
}

// publishSymptom is what health says of publishes that fail, the newest first.
func publishSymptom(all []failing.Failure) symptom {
	s := symptom{state: Degraded, cause: all[0].Err, since: all[0].Since}
	refused, unknown := 0, 0
	for _, f := range all {
		refused, unknown = refused+f.Refused, unknown+f.Unknown
		if f.Since.Before(s.since) {
			s.since = f.Since
		}
	}
	s.text = fmt.Sprintf("publishes fail (%d refused, %d unknown)", refused, unknown)
	if len(all) > 1 {
		s.text += ", as they do to " + count(len(all)-1, "other topic", "other topics")
	}
	return s
}

// healthOf returns the Health of what about names and has symptoms. Of parts, those that are a
// HealthReporter tell how they are. No lock is held.
func healthOf(symptoms []symptom, about said, parts ...any) Health {
	var reported []*Error
	for _, part := range parts {
		if r, ok := part.(HealthReporter); ok {
			reported = appendReported(reported, r.Health())
		}
	}
	h := Health{}
	for i := range symptoms {
		s := &symptoms[i]
		h.State = max(h.State, s.state)
		h.Problems = append(h.Problems, s.problem(about, reported))
	}
	for _, err := range reported {
		h.State = max(h.State, Degraded)
		h.Problems = append(h.Problems, err)
	}
	return h
}

// symptoms returns what is wrong as far as the engine knows. The lock is held.
func (e *engine) symptoms() []symptom {
	var all []symptom
	add := func(state HealthState, code Code, since time.Time, cause error, format string, args ...any) {
		all = append(all, symptom{state: state, code: code, cause: cause, text: fmt.Sprintf(format, args...), since: since})
	}
	most := e.c.o.MaxDeliveries
	if e.stream == nil {
		add(Starting, CodeUnavailable, e.epoch, nil, "waits for the broker to accept the subscription")
	}
	if e.c.paused {
		add(Paused, CodeConflict, e.c.pausedSince, nil, "paused by Consumer.Pause, until Consumer.Resume")
	}
	if !e.pauseEnd.IsZero() {
		add(Paused, 0, e.pause.since, reasonOf(e.pause.err), "paused by a handler until %s, %s",
			e.pauseEnd.UTC().Format(time.RFC3339), nameOf(e.pause.event))
	}
	if e.failing > 0 {
		newest, first := e.newestFailing()
		add(Degraded, CodeHandler, e.epoch.Add(first), newest.failed,
			"%s failing and may do so without end; give the Consumer a Retry and a PoisonQueue; the newest is %s",
			count(e.failing, "event keeps", "events keep"), nameOf(newest.d.Event))
	}
	if s := &e.outage; s.waiting > 0 {
		add(Degraded, 0, s.since, s.cause, "%s handler cannot publish",
			count(s.waiting, "event waits, because its", "events wait, because their"))
	}
	if s := &e.suspects; s.count > 0 {
		if it := s.solo; it != nil && it.state == itemRunning {
			add(Degraded, CodeHandler, e.epoch.Add(it.started), nil,
				"%s runs alone, because it was delivered %d times and MaxDeliveries is %d; %d more wait for that",
				nameOf(it.d.Event), it.d.Deliveries, most, s.count-1)
		} else {
			add(Degraded, CodeHandler, time.Time{}, nil,
				"%d events wait to run alone, because they were delivered more often than MaxDeliveries (%d)", s.count, most)
		}
	}
	if s := &e.suspects; s.failed != nil {
		add(Degraded, 0, s.failedSince, s.failed, "events over MaxDeliveries wait, because topic %s cannot note their runs",
			quote(suspectsTopic(e.c.sub.Topic, e.c.sub.Group)))
	}
	if e.park.stuck > 0 {
		add(Degraded, CodePoisonQueue, e.park.stuckSince, nil, "%s unsettled, because there is no PoisonQueue",
			count(e.park.stuck, "rejected event stays", "rejected events stay"))
	}
	if e.poison.down != nil {
		add(Degraded, CodePoisonQueue, e.poison.since, e.poison.down, "rejected events stay unsettled, because the poison queue fails")
	}
	if e.poison.refused > 0 {
		all = append(all, e.refusedSymptom())
	}
	if s, ok := e.stallSymptom(); ok {
		all = append(all, s)
	}
	return all
}

// stallSymptom returns why nothing is received; false where that is not so, or not for long.
func (e *engine) stallSymptom() (symptom, bool) {
	s := symptom{state: Stalled, code: CodeStalled}
	switch {
	case e.tooManyRefused():
		s.text = fmt.Sprintf("nothing is received, because the poison queue refuses %d events, more than half of MaxInFlight (%d)",
			e.poison.refused, e.c.sub.MaxInFlight)
	case e.full && e.now()-e.fullAt >= e.c.o.StallAfter:
		age := time.Duration(0)
		if it := e.all.oldest; it != nil {
			age = time.Since(it.batch.received).Round(time.Millisecond)
		}
		s.since = e.epoch.Add(e.fullAt)
		s.text = fmt.Sprintf("nothing is received: %d events (%d bytes) are in flight, %d of them parked; the oldest is here for %v",
			e.all.count, e.all.bytes, e.park.count(), age)
	default:
		return s, false
	}
	return s, true
}

// newestFailing returns, of the events that the engine retries by its own backoff, the one that
// failed last, and when the first attempt of any of them was. There is one. The lock is held.
func (e *engine) newestFailing() (newest *item, first time.Duration) {
	for it := e.all.oldest; it != nil; it = it.newer {
		if !it.failing {
			continue
		}
		if newest == nil || it.first < first {
			first = it.first
		}
		if newest == nil || it.started > newest.started {
			newest = it
		}
	}
	return newest, first
}

// count returns n with the words for one, or for several.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// nameOf returns the words for an event.
func nameOf(e Event) string { return "event " + quote(e.ID()) + " of type " + quote(e.Type()) }

// problem makes the error of s. A cause that the stream or the broker reports itself is not told
// again. The lock is free.
func (s *symptom) problem(about said, reported []*Error) *Error {
	text, code := s.text, s.code
	if s.advice != nil {
		text += "; " + s.advice(s.cause)
	}
	if s.cause != nil {
		if code == 0 {
			if code = safeCode(s.cause); code == CodeInternal || code == CodeCanceled {
				code = CodeUnavailable
			}
		}
		if !isReported(s.cause, reported) {
			limit := max(maxHealthText-len(text), maxHealthText/2) // what to do is not cut
			text += ": " + causeText(s.cause, said{op: about.op, topic: about.topic, code: code}, limit)
		}
	}
	if !s.since.IsZero() {
		text += sinceMark + s.since.UTC().Format(time.RFC3339)
	}
	return &Error{Op: about.op, Topic: about.topic, Code: code, Err: &symptomError{text, s.cause}}
}

// sinceMark is what stands before the time since when a problem exists.
const sinceMark = ", since "

// safeCode is CodeOf for an error that may panic.
func safeCode(err error) (code Code) {
	defer func() {
		if recover() != nil {
			code = CodeInternal
		}
	}()
	return CodeOf(err)
}

// causeText is brief, without what the text around it says.
func causeText(err error, s said, limit int) (text string) {
	defer func() {
		if recover() != nil {
			text = brief(err, limit)
		}
	}()
	text, _, _ = strings.Cut(textWithin(err, s), stackMark)
	return shorten(text, limit)
}

// isReported reports whether the stream or the broker tells one of the innermost causes of err.
func isReported(err error, reported []*Error) (told bool) {
	defer func() { _ = recover() }()
	budget := maxCauses
	eachRoot(err, &budget, func(root error) {
		for _, own := range reported {
			told = told || tells(own.Err.Error(), root.Error())
		}
	})
	return told
}

// tells reports whether cause stands in a text as one that an error wraps, and not as a piece of
// another one: "EOF" is not in "unexpected EOF".
func tells(text, cause string) bool {
	if cause == "" {
		return false
	}
	for from := 0; ; {
		i := strings.Index(text[from:], cause)
		if i < 0 {
			return false
		}
		before, after := text[:from+i], text[from+i+len(cause):]
		if hasAny(strings.HasSuffix, before, "", ": ", "; ", "(") && hasAny(strings.HasPrefix, after, "", ";", ",", " (", ")") {
			return true
		}
		from += i + 1
	}
}

// hasAny reports whether text has one of parts at its end or beginning; the first part, which is
// empty, stands for a text that is.
func hasAny(has func(text, part string) bool, text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return part == text || part != "" && has(text, part) })
}

// eachRoot calls do for the innermost causes of err. Those of the network are whole with their
// address: a bare "connection refused" may be that of another broker.
func eachRoot(err error, budget *int, do func(error)) {
	if *budget--; *budget < 0 || err == nil {
		return
	}
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *net.OpError:
		do(e)
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			eachRoot(inner, budget, do)
			return
		}
		do(err)
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			eachRoot(part, budget, do)
		}
	default:
		do(err)
	}
}

// appendReported appends what a stream or a broker says of itself, each part of it once.
func appendReported(reported []*Error, err error) []*Error {
	if err == nil {
		return reported
	}
	before := len(reported)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		alike := map[string]int{}
		for _, part := range joined.Unwrap() {
			one := asProblem(part)
			kind := likeness(one)
			if alike[kind]++; alike[kind] == 1 {
				reported = addReported(reported, before, one)
			}
		}
		for _, own := range reported {
			if more := alike[likeness(own)] - 1; more > 0 {
				text, since, dated := strings.Cut(own.Err.Error(), sinceMark)
				if text = fmt.Sprintf("%s (and %d more like it)", text, more); dated {
					text += sinceMark + since
				}
				own.Err = &symptomError{text, own.Err}
			}
		}
		return reported
	}
	return addReported(reported, before, asProblem(err))
}

// likeness is the same for faults that differ in numbers only, as those of twelve partitions do.
func likeness(err *Error) string {
	return err.Code.String() + " " + err.Topic + " " + withoutValues(err.Err.Error(), true)
}

// addReported appends a problem unless another one with its code has the same cause. Of two in one
// report, which begins at from, the one that says more stays: a connection that is lost, and what
// follows from that.
func addReported(reported []*Error, from int, one *Error) []*Error {
	for i, own := range reported {
		if own.Code != one.Code || own.Topic != one.Topic && own.Topic != "" && one.Topic != "" {
			continue
		}
		known, budget, alike := withoutValues(own.Err.Error(), true), maxCauses, false
		eachRoot(one.Err, &budget, func(root error) {
			text, _, _ := strings.Cut(brief(root, maxReportedText), sinceMark)
			alike = alike || tells(known, withoutValues(text, true))
		})
		if alike {
			if i >= from && len(one.Err.Error()) > len(own.Err.Error()) {
				reported[i] = one
			}
			return reported
		}
	}
	return append(reported, one)
}

// asProblem returns err as an error of its own that has a cause of one short line.
func asProblem(err error) *Error {
	own, ok := err.(*Error) //nolint:errorlint // the outermost says what it is about
	if !ok {
		own = &Error{Op: "health", Code: CodeOf(err), Err: err}
	}
	one := *own
	if one.Err == nil {
		one.Err = errors.New(one.Code.String())
	}
	text := causeText(one.Err, said{one.Op, one.Topic, one.EventID, one.Code}, maxReportedText)
	if text != one.Err.Error() {
		one.Err = &symptomError{text, one.Err}
	}
	return &one
}
