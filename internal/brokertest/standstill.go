package brokertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	askEvery   = time.Second
	standsFrom = 2 * time.Second // without an answer
)

// noteStandstills asks a server now and then whether it can be used, until the test ends. When the
// test has failed, it tells when the server took long for its answer, and what the process did
// meanwhile, so that a server that stands still is not taken for a fault of the adapter. What is
// killed or paused by the test does not count.
func noteStandstills(t testing.TB, p *Process) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	var notes []string
	watch.Go(func() {
		for ctx.Err() == nil {
			if note := p.standstill(ctx); note != "" {
				notes = append(notes, note)
			}
			waitToAsk(ctx)
		}
	})
	t.Cleanup(func() {
		cancel()
		watch.Wait()
		if t.Failed() && len(notes) > 0 {
			t.Logf("%s stood still:\n%s", p.spec.name, strings.Join(notes, "\n"))
		}
	})
}

// standstill asks until the process answers, and returns a line about it where that took long.
func (p *Process) standstill(ctx context.Context) string {
	injuries, pid, began := p.injuries.Load(), p.PID(), time.Now()
	if pid == 0 || !p.usable.Load() {
		return ""
	}
	before := worked(pid)
	err := p.spec.ready(ctx)
	for time.Since(began) >= standsFrom && err != nil && p.usable.Load() && p.PID() == pid && waitToAsk(ctx) {
		err = p.spec.ready(ctx) // which gives up after some time
	}
	took := time.Since(began)
	if took < standsFrom || injuries != p.injuries.Load() || !p.usable.Load() {
		return ""
	}
	note := fmt.Sprintf("%s: no answer for %v", began.Format("15:04:05"), took.Round(time.Millisecond))
	if err != nil {
		note += fmt.Sprintf(" (%v)", err)
	}
	if after := worked(pid); before != nil && after != nil {
		note += fmt.Sprintf("; it used %v of processor time and touched %d pages anew, %d of them from disk",
			after.processor-before.processor, after.faults-before.faults, after.read-before.read)
	}
	return note
}

// waitToAsk waits for a moment, and reports whether ctx lasted for it.
func waitToAsk(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(askEvery):
		return true
	}
}

// work is what a process has done so far.
type work struct {
	processor    time.Duration
	faults, read int64 // pages: all that it missed, and those that had to be read
}

// worked returns nil where there is no /proc/pid/stat, as outside of Linux: proc_pid_stat(5).
func worked(pid int) *work {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	const minor, major, user, system, tick = 7, 9, 11, 12, 10 * time.Millisecond // fields behind the name
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= system {
		return nil
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		return n
	}
	return &work{
		processor: time.Duration(number(user)+number(system)) * tick,
		faults:    number(minor) + number(major), read: number(major),
	}
}
