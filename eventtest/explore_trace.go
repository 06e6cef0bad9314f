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
}

// note adds a line to the timeline and returns its number. A nil service is the broker.
func (c *chaos) note(s *service, cause int, format string, args ...any) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noteLocked(s, cause, format, args...)
}

func (c *chaos) noteLocked(s *service, cause int, format string, args ...any) int {
	who := "broker"
	if s != nil {
		who = s.name
		if s.lives > 1 {
			who = fmt.Sprintf("%s(%d)", who, s.lives)
		}
	}
	c.trace = append(c.trace, line{who, fmt.Sprintf(format, args...), cause})
	return len(c.trace)
}

// timeline returns what happened as text. Times are left out: the order is what matters, and retries have jitter.
func (r *result) timeline() string {
	width := 0
	for _, l := range r.trace {
		width = max(width, len(l.who))
	}
	var b strings.Builder
	for i, l := range r.trace {
		fmt.Fprintf(&b, "%4d  %-*s  %s", i+1, width, l.who, l.text)
		if l.cause > 0 {
			fmt.Fprintf(&b, "  <- %d", l.cause)
		}
		b.WriteByte('\n')
	}
	return b.String()
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

// packagePath returns the path of the package under test within its module. A test runs in its package's directory.
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
