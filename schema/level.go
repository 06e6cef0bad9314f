package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Level says which changes a subject allows, in Confluent's words. Backward means that a consumer
// with the new schema can read what was written with an older one, so that consumers are updated
// first. Forward means that a consumer with an older schema can read what is written with the new
// one, so that producers are updated first.
type Level string

// The levels. Those that are not transitive look at the latest version only.
const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD"
	BackwardTransitive Level = "BACKWARD_TRANSITIVE"
	Forward            Level = "FORWARD"
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"
	Full               Level = "FULL"
	FullTransitive     Level = "FULL_TRANSITIVE"
)

// DefaultLevel is that of a subject that says nothing: events stay in logs and queues, so that old
// consumers read new events, and new consumers old ones.
const DefaultLevel = FullTransitive

var levels = []Level{None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive}

func (l Level) fault() error {
	if slices.Contains(levels, l) {
		return nil
	}
	return fmt.Errorf("the level %.40q is unknown; use one of %v", string(l), levels)
}

func (l Level) transitive() bool { return strings.HasSuffix(string(l), "_TRANSITIVE") }
func (l Level) backward() bool   { return strings.HasPrefix(string(l), "BACKWARD") || l.full() }
func (l Level) forward() bool    { return strings.HasPrefix(string(l), "FORWARD") || l.full() }
func (l Level) full() bool       { return strings.HasPrefix(string(l), "FULL") }

// Break is one reason why consumers with one schema cannot read data that was written with another.
type Break struct {
	// Rule names the rule, such as "required-added".
	Rule string
	// Path is where in the schema, in the words of its format.
	Path string
	// Text says what breaks, and what to do instead.
	Text string
	// Writer and Reader are the versions. The new version of a Register that has not happened has
	// the number that it would get.
	Writer, Reader Ref
}

// String returns all of it in a line. Of a registry on the network, Text is all there is.
func (b Break) String() string {
	if b.Rule == "" {
		return b.Text
	}
	where := ""
	if b.Path != "" {
		where = " at " + b.Path
	}
	return fmt.Sprintf("%v cannot read what %v has written: %s%s: %s", b.Reader, b.Writer, b.Rule, where, b.Text)
}

// IncompatibleError says why a definition may not become a version of a subject.
type IncompatibleError struct {
	// Level is that of the subject.
	Level Level
	// Breaks has at least one.
	Breaks []Break
}

// Error returns all breaks.
func (e *IncompatibleError) Error() string {
	breaks := make([]string, len(e.Breaks))
	for i, b := range e.Breaks {
		breaks[i] = b.String()
	}
	return fmt.Sprintf("the level %s forbids the change: %s", e.Level, strings.Join(breaks, "; "))
}

// versioned is a schema that can be compared.
type versioned struct {
	format Format
	bundle Bundle
}

// check compares a new version with those before it, the oldest first.
func (l Level) check(history []versioned, added versioned) ([]Break, error) {
	if !l.transitive() && len(history) > 1 {
		history = history[len(history)-1:]
	}
	var breaks []Break
	for _, old := range slices.Backward(history) {
		if l == None {
			break
		}
		if old.format.Name() != added.format.Name() {
			breaks = append(breaks, Break{
				Rule: "format-changed", Text: "the format was " + old.format.Name() + " and is " + added.format.Name() + "; use a new subject",
				Writer: old.bundle.Ref, Reader: added.bundle.Ref,
			})
			continue
		}
		for _, c := range []struct {
			wanted         bool
			writer, reader Bundle
		}{{l.backward(), old.bundle, added.bundle}, {l.forward(), added.bundle, old.bundle}} {
			if !c.wanted {
				continue
			}
			found, err := added.format.Compare(c.writer, c.reader)
			if err != nil {
				return nil, fmt.Errorf("compare %v with %v: %w", c.writer.Ref, c.reader.Ref, err)
			}
			for _, b := range found {
				b.Writer, b.Reader = c.writer.Ref, c.reader.Ref
				breaks = append(breaks, b)
			}
		}
	}
	return breaks, nil
}
