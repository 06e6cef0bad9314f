package brokertest

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Handling is an event that a consumer has begun to handle. The ids of a key's events are numbers
// that grow in the order of their publishes.
type Handling struct {
	At      int64 // Unix nanoseconds
	Key, ID string
}

const handlingLine = "handles %d %s %s"

// Handles makes the handling of an event that begins now.
func Handles(key, id string) Handling { return Handling{time.Now().UnixNano(), key, id} }

// String returns the line by which a process of [Handlings.Start] tells of it.
func (h Handling) String() string { return fmt.Sprintf(handlingLine, h.At, h.Key, h.ID) }

// Handlings are those of all consumers of a group. The zero value is empty. Its methods may be
// called from several goroutines at once.
type Handlings struct {
	mu    sync.Mutex
	all   []Handling
	known map[string]bool // by id
}

// Add notes a handling.
func (h *Handlings) Add(one Handling) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[string]bool{}
	}
	h.all = append(h.all, one)
	h.known[one.ID] = true
}

// Distinct returns how many events were handled.
func (h *Handlings) Distinct() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.known)
}

// Verdict counts what was handled again, and the events that came first after a later one of their
// key.
func (h *Handlings) Verdict(t testing.TB) (twice, inversions int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.SortStableFunc(h.all, func(a, b Handling) int { return cmp.Compare(a.At, b.At) })
	seen, newest := map[string]bool{}, map[string]int{}
	for _, one := range h.all {
		n, err := strconv.Atoi(one.ID)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case seen[one.ID]:
			twice++
		case n < newest[one.Key]:
			inversions++
		}
		seen[one.ID] = true
		newest[one.Key] = max(newest[one.Key], n)
	}
	return twice, inversions
}

// Start runs a test of this program as a process that consumes and prints each [Handling] on a
// line. It finds the value in the variable of its environment. It is killed by what Start returns,
// which waits for its last words.
func (h *Handlings) Start(t testing.TB, test, variable, value string) (kill func()) {
	t.Helper()
	p := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	p.Env = append(os.Environ(), variable+"="+value)
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var one Handling
			if n, _ := fmt.Sscanf(lines.Text(), handlingLine, &one.At, &one.Key, &one.ID); n == 3 {
				h.Add(one)
			}
		}
	}()
	return func() {
		_ = p.Process.Kill()
		<-read
		_ = p.Wait() // it was killed
	}
}
