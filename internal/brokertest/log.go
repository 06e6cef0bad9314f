package brokertest

import (
	"io"
	"os"
	"strings"
)

const (
	logLines = 40
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
