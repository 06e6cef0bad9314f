package leat

import (
	"cmp"
	"strings"
	"unicode/utf8"
)

// said is what the text of an [Error] has told already when it comes to its cause.
type said struct {
	op, topic, event string
	code             Code
}

// teller is an error of Leat that can leave out what the text around it says.
type teller interface {
	error
	within(s said) string
}

// Error returns the operation, the topic, the event, the code in words, and the cause, in one line.
// An [Error] inside, and several that [errors.Join] has joined, do not repeat what is said before
// them. Only the stack of a panic takes more lines, behind the first.
func (e *Error) Error() string { return "leat: " + e.within(said{}) }

// within returns the text without what s says.
func (e *Error) within(s said) string {
	var words []string
	about := s
	topic, event := e.Topic != "" && e.Topic != s.topic, e.EventID != "" && e.EventID != s.event
	switch {
	case e.Op == s.op && !topic:
	case e.Op == opEvent && (event || s.op != ""): // the word is there already
	case e.Op != "":
		words = append(words, e.Op)
	}
	about.op, about.code = e.Op, e.Code
	if topic {
		words = append(words, "topic "+quote(e.Topic))
		about.topic = e.Topic
	}
	if event {
		words = append(words, "event "+quote(e.EventID))
		about.event = e.EventID
	}
	var parts []string
	if len(words) > 0 {
		parts = append(parts, strings.Join(words, " "))
	}
	cause := ""
	if e.Err != nil {
		cause = textWithin(e.Err, about)
	}
	if e.Code != s.code {
		parts = append(parts, e.Code.String())
	}
	if cause != "" {
		parts = append(parts, cause)
	}
	return strings.Join(parts, ": ")
}

// opEvent is the Op of an error that concerns an event by itself.
const opEvent = "event"

// textWithin returns the text of err, in which no error of Leat repeats what s says.
func textWithin(err error, s said) string {
	if own, ok := err.(teller); ok { //nolint:errorlint // the outermost; those inside are looked for below
		return own.within(s)
	}
	text := err.Error()
	budget := maxCauses
	eachTeller(err, &budget, func(own teller) {
		if whole := own.Error(); strings.Contains(text, whole) {
			text = strings.Replace(text, whole, cmp.Or(own.within(s), s.code.String()), 1)
		}
	})
	return oneLine(text)
}

// eachTeller calls do for the outermost errors of Leat in the tree of err.
func eachTeller(err error, budget *int, do func(teller)) {
	if *budget--; *budget < 0 {
		return
	}
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
	case teller:
		do(e)
	case interface{ Unwrap() error }:
		eachTeller(e.Unwrap(), budget, do)
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			eachTeller(part, budget, do)
		}
	}
}

// stackMark is where the stack of a panic begins in the text of a crashError.
const stackMark = "\ngoroutine "

// oneLine makes one line of a text of several, such as that of [errors.Join], and keeps the stack
// of a panic behind it.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\n\r") {
		return text
	}
	text, stack, found := strings.Cut(text, stackMark)
	var lines []string
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	text = strings.Join(lines, "; ")
	if found {
		text += stackMark + stack
	}
	return text
}

// brief returns the text of an error that may be foreign code, in one line of at most limit bytes,
// without the stack of a panic. Of a longer one the middle is left out: what failed stands at the
// beginning, and why at the end. The lock is free.
func brief(err error, limit int) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = "an error whose text cannot be read, because it panics"
		}
	}()
	text, _, _ = strings.Cut(err.Error(), stackMark)
	return shorten(oneLine(text), limit)
}

// shorten leaves out the middle of a text that is longer than limit bytes.
func shorten(text string, limit int) string {
	const gap = " ... "
	if len(text) <= limit {
		return text
	}
	head := (limit - len(gap)) / 2
	tail := len(text) - (limit - len(gap) - head)
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + gap + text[tail:]
}
