package brokertest

import (
	"io"
	"os"
	"strings"
	"testing"
)

const (
	logLines = 80
	logBytes = 64 << 10
)

// tail returns the last lines of a file, or why it cannot be read.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > logBytes {
		_, _ = f.Seek(-logBytes, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(f, logBytes))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), lines)
}

func lastLines(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// showLog puts the end of a process's log into the output of a test that has failed.
func showLog(t testing.TB, p *Process) {
	t.Helper()
	if !t.Failed() {
		return
	}
	state := "runs"
	if !p.Running() {
		state = "does not run"
	}
	t.Logf("%s %s; the end of its log:\n%s", p.spec.name, state, p.Log(logLines))
}
