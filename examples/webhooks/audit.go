package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/leatgo/leat"
)

// audit writes every event as one line in the CloudEvents JSON format.
type audit struct {
	mu      sync.Mutex
	w       io.Writer
	compact bytes.Buffer // these two are used again for each event
	line    []byte
	events  int
	bytes   int
}

// Handle writes e. After a write that failed in part, as on a full disk, the retry writes the whole
// line again.
func (a *audit) Handle(_ context.Context, e leat.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	// JSON data stands in the line as it is, line ends included. Without them it is another event;
	// the one that the other services get stays what it was.
	a.compact.Reset()
	if json.Compact(&a.compact, e.Data()) == nil {
		e = e.WithData(e.DataContentType(), a.compact.Bytes())
	}
	var err error
	if a.line, err = e.AppendJSON(a.line[:0]); err != nil {
		return leat.Reject(err)
	}
	a.line = append(a.line, '\n')
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
	return fmt.Sprintf("%d lines of CloudEvents JSON, %d KiB", a.events, a.bytes>>10)
}
