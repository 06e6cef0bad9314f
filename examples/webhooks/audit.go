package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/leatgo/leat"
)

// audit writes every event as one line in the CloudEvents JSON format.
type audit struct {
	mu     sync.Mutex
	w      io.Writer
	line   []byte // used again for each event
	events int
	bytes  int
}

// Handle writes e. What it wrote in part when the disk fills up is written again, whole, by the retry.
func (a *audit) Handle(_ context.Context, e leat.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	line, err := e.AppendJSON(a.line[:0])
	if err != nil {
		return leat.Reject(err)
	}
	a.line = append(line, '\n')
	if _, err := a.w.Write(a.line); err != nil {
		return err
	}
	a.events++
	a.bytes += len(a.line)
	return nil
}

func (a *audit) wants(string) bool { return true }

func (a *audit) summary() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("%d events in %d KiB of JSON lines", a.events, a.bytes>>10)
}
