package eventtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// line is one line of a timeline: who, what, and the line from which it follows, 0 for none.
type line struct {
	who, text string
	cause     int
	odd       bool // it is not what would happen without faults
}

// notef adds a line to the timeline. A nil service is the broker.
func (c *chaos) notef(s *service, cause int, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteLockedf(s, cause, format, args...)
}

// noteLockedf does so with the lock held, and returns the number of the line.
func (c *chaos) noteLockedf(s *service, cause int, format string, args ...any) int {
	who := "broker"
	if s != nil {
		who = s.name
		if s.lives > 1 {
			who = fmt.Sprintf("%s(%d)", who, s.lives)
		}
	}
	c.trace = append(c.trace, line{who, fmt.Sprintf(format, args...), cause, c.odd})
	return len(c.trace)
}

// timeline returns what happened as text. Times are left out: the order is what matters, and
// retries have jitter.
func (r *result) timeline() string { return r.print(func(int) bool { return true }) }

// shortTimeline leaves out the events with which nothing is wrong.
func (r *result) shortTimeline() string {
	shown := r.relevant()
	return r.print(func(at int) bool { return shown[r.root(at)] })
}

// maxLines is how many lines are printed at most: the first and the last of a run that went on and
// on.
const maxLines = 400

func (r *result) print(show func(at int) bool) string {
	width, hidden := 0, 0
	for _, l := range r.trace {
		width = max(width, len(l.who))
	}
	var b strings.Builder
	flush := func() {
		if hidden > 0 {
			fmt.Fprintf(&b, "      ... %d %s left out\n", hidden, plural(hidden, "line", "lines"))
		}
		hidden = 0
	}
	for i, l := range r.trace {
		if !show(i+1) || len(r.trace) > maxLines && i >= maxLines/2 && i < len(r.trace)-maxLines/2 {
			hidden++
			continue
		}
		flush()
		fmt.Fprintf(&b, "%4d  %-*s  %s", i+1, width, l.who, l.text)
		if l.cause > 0 {
			fmt.Fprintf(&b, "  <- %d", l.cause)
		}
		b.WriteByte('\n')
	}
	flush()
	return b.String()
}

// root returns the line from which a line follows in the end.
func (r *result) root(at int) int {
	for r.trace[at-1].cause > 0 {
		at = r.trace[at-1].cause
	}
	return at
}

// relevant returns the roots of odd lines, and of the lines that came between an odd one and what
// it follows from, or between two odd ones of a root: what overtook, or was overtaken.
func (r *result) relevant() map[int]bool {
	from, to := map[int]int{}, map[int]int{}
	for i, l := range r.trace {
		if !l.odd {
			continue
		}
		root := r.root(i + 1)
		if from[root] == 0 {
			from[root] = max(l.cause, 1)
			if l.cause == 0 {
				from[root] = i + 1
			}
		}
		to[root] = i + 1
	}
	shown := map[int]bool{}
	for root, first := range from {
		shown[root] = true
		for at := first; at <= to[root]; at++ {
			shown[r.root(at)] = true
		}
	}
	if len(shown) == 0 { // it fails without any fault
		for at := range r.trace {
			shown[at+1] = true
		}
	}
	return shown
}

// command returns the shell command that replays a plan.
func command(t *testing.T, p *plan) string {
	t.Helper()
	name := strings.Split(t.Name(), "/")
	for i, part := range name {
		name[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return fmt.Sprintf("%s=%d %s='%s' go test -run '%s' %s",
		seedVariable, p.seed, scheduleVariable, strings.Join(p.schedule(), ","), strings.Join(name, "/"), packagePath())
}

// packagePath returns the path of the package under test within its module. A test runs in its
// package's directory.
func packagePath() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			if path, err := filepath.Rel(root, dir); err == nil {
				return "./" + filepath.ToSlash(path)
			}
		}
		if root == filepath.Dir(root) {
			return "."
		}
	}
}
