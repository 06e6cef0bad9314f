package eventtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PauseProcess stops a process (SIGSTOP): its connections stay open, and it does nothing until
// [ResumeProcess]. A negative pid names the process group -pid. PauseProcess returns when every
// thread has stopped, which Linux tells; on other systems it returns when the signal is sent. When
// ctx ends first, the error says so, and the process stops later. The error wraps
// [errors.ErrUnsupported] where processes cannot be stopped.
func PauseProcess(ctx context.Context, pid int) error {
	if err := pauseSignal(pid); err != nil {
		return fmt.Errorf("pausing process %d: %w", pid, err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !standsStill(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("pausing process %d: a thread still runs: %w", pid, context.Cause(ctx))
		}
	}
	return nil
}

// ResumeProcess lets a process, or a group, go on that [PauseProcess] has stopped (SIGCONT).
func ResumeProcess(pid int) error {
	if err := resumeSignal(pid); err != nil {
		return fmt.Errorf("resuming process %d: %w", pid, err)
	}
	return nil
}

// standsStill reports whether all threads of a process, or of the processes of a group, have
// stopped or ended.
func standsStill(pid int) bool {
	if pid > 0 {
		return threadsStand(strconv.Itoa(pid))
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		stat := statOf(filepath.Join(path, "stat"))
		if len(stat) > 2 && stat[2] == strconv.Itoa(-pid) && !threadsStand(filepath.Base(path)) {
			return false
		}
	}
	return true
}

// standing are the states of threads that do nothing more, or nothing for now.
var standing = []string{"T", "t", "Z", "X", "x"}

func threadsStand(pid string) bool {
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*/stat")
	for _, path := range threads {
		if stat := statOf(path); len(stat) > 0 && !slices.Contains(standing, stat[0]) {
			return false
		}
	}
	return true
}

// statOf returns what Linux tells about a process or thread: its state, its parent, its group, and
// more; nothing when it is gone.
func statOf(path string) []string {
	text, err := os.ReadFile(path) //nolint:gosec // below /proc
	if err != nil {
		return nil
	}
	name := bytes.LastIndexByte(text, ')') // which may have anything in it
	return strings.Fields(string(text[name+1:]))
}
