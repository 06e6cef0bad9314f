package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The kinds of a fact.
const (
	factUnfit     = "unfit"     // a delivery that is not an event, and is not published
	factSent      = "sent"      // about to be published
	factPublished = "published" // the broker's answer to that
	factHandled   = "handled"   // a handler returned nil
	factSkipped   = "skipped"   // the service has no handler for the type
	factFailed    = "failed"    // an attempt returned an error
	factPoisoned  = "poisoned"  // read from a service's poison queue
)

// The outcomes of a published fact.
const (
	outcomeOK      = "ok"
	outcomeRefused = "refused" // certainly not stored
	outcomeUnknown = "unknown" // may be stored
)

// fact is one line of a ledger file.
type fact struct {
	At      int64  `json:"at"` // in ns since 1970
	Kind    string `json:"fact"`
	Service string `json:"service,omitempty"`
	ID      string `json:"id"`
	Type    string `json:"type,omitempty"`
	Key     string `json:"key,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the data
	Outcome string `json:"outcome,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Reason  string `json:"reason,omitempty"`

	writer string // the file that it was read from
}

// ledger keeps what a process knows for certain: in a file of its own, where it has one, and in its
// watchers. A line is one write to a file opened for appending, so that it survives the process
// being killed at any moment.
type ledger struct {
	start    time.Time
	watchers []func(fact)

	mu   sync.Mutex
	file *os.File
	err  error
}

// openLedger returns a ledger with its file in dir, or without one where dir is empty.
func openLedger(dir, part string, watchers ...func(fact)) (*ledger, error) {
	l := &ledger{start: time.Now(), watchers: watchers}
	if dir == "" {
		return l, nil
	}
	name := fmt.Sprintf("%s-%d-%d.jsonl", part, os.Getpid(), l.start.UnixNano())
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	l.file = file
	return l, nil
}

// record writes f before it returns. What cannot be written fails the run at its end, by Close: a
// fact that is missing would look like a lost event.
func (l *ledger) record(f fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.At = l.start.UnixNano() + int64(time.Since(l.start)) // does not step back with the clock
	if l.file != nil {
		if err := l.append(f); err != nil && l.err == nil {
			l.err = err
		}
	}
	for _, watch := range l.watchers {
		watch(f)
	}
}

// detach ends the watching, so that the watchers hold still while a report is made. Late facts
// still reach the file.
func (l *ledger) detach() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = nil
}

func (l *ledger) append(f fact) error {
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = l.file.Write(append(line, '\n'))
	return err
}

// Close closes the file and returns the first error that the ledger met.
func (l *ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return l.err
	}
	err := l.file.Close()
	l.file = nil
	if l.err != nil {
		err = l.err
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// digest identifies data in a ledger line.
func digest(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:6])
}
