// Package goroutines tells tests which goroutines a call has left behind, at the moment when it has
// returned. A leak detector that waits for them to end would not notice that nobody awaits them.
package goroutines

import (
	"regexp"
	"runtime"
	"strings"
)

// Set is the goroutines of a moment, by their numbers.
type Set map[string]string

var header = regexp.MustCompile(`^goroutine (\d+) `)

// Now returns the goroutines that there are now, with their stacks.
func Now() Set {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	s := Set{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if m := header.FindStringSubmatch(stack); m != nil {
			s[m[1]] = stack
		}
	}
	return s
}

// turns is how often others get a turn, so that a goroutine which has told that it is done can end.
// It takes microseconds.
const turns = 200

// Since returns the stacks of the goroutines that are there now, were not there before, and have
// one of the texts in their stack.
func (s Set) Since(texts ...string) []string {
	var left []string
	for range turns {
		if left = s.since(texts); len(left) == 0 {
			return nil
		}
		runtime.Gosched()
	}
	return left
}

func (s Set) since(texts []string) (left []string) {
	for id, stack := range Now() {
		if _, old := s[id]; old {
			continue
		}
		for _, text := range texts {
			if strings.Contains(stack, text) {
				left = append(left, stack)
				break
			}
		}
	}
	return left
}
