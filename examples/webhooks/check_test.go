package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ledgerBook is a made-up set of ledger files: one publisher and one process for each service.
type ledgerBook struct {
	at    int64
	files map[string][]string
}

func newBook() *ledgerBook { return &ledgerBook{files: map[string][]string{}} }

func (b *ledgerBook) line(file, format string, args ...any) {
	b.at++
	b.files[file] = append(b.files[file], fmt.Sprintf(`{"at":%d,`, b.at)+fmt.Sprintf(format, args...)+"}\n")
}

func (b *ledgerBook) sent(id, key string) {
	b.line("publish-1.jsonl", `"fact":"sent","id":%q,"key":%q,"digest":"d-%s"`, id, key, id)
}

func (b *ledgerBook) answered(id, outcome string) {
	b.line("publish-1.jsonl", `"fact":"published","id":%q,"outcome":%q`, id, outcome)
}

func (b *ledgerBook) settled(service, kind, id string, attempt int) {
	b.line(service+"-1.jsonl", `"fact":%q,"service":%q,"id":%q,"attempt":%d,"digest":"d-%s"`, kind, service, id, attempt, id)
}

// published is an event that every service except those named handles.
func (b *ledgerBook) published(id, key string, except ...string) {
	b.sent(id, key)
	b.answered(id, outcomeOK)
	for _, s := range serviceNames() {
		if !slices.Contains(except, s) {
			b.settled(s, factHandled, id, 1)
		}
	}
}

func (b *ledgerBook) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, lines := range b.files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "")), 0o600))
	}
	return dir
}

// check runs -run check and returns its status and output.
func check(t *testing.T, dir string) (int, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status := run(t.Context(), []string{"-run", "check", "-ledger", dir}, &out, &errOut)
	return status, out.String() + errOut.String()
}

func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*ledgerBook)
		want string // one line of the output; empty: nothing may be found
	}{
		"nothing in a clean book": {func(*ledgerBook) {}, ""},
		"a lost event": {func(b *ledgerBook) {
			b.published("lost/1", "k", serviceAudit)
		}, "lost: lost/1 in audit: "},
		"an event that failed and was never poisoned": {func(b *ledgerBook) {
			b.published("lost/2", "k", serviceIssues)
			b.settled(serviceIssues, factFailed, "lost/2", 4)
		}, "lost: lost/2 in issues: "},
		"no loss when it is poisoned": {func(b *ledgerBook) {
			b.published("p", "k", serviceIssues)
			b.settled(serviceIssues, factPoisoned, "p", 4)
		}, ""},
		"a ghost": {func(b *ledgerBook) {
			b.settled(serviceIssues, factHandled, "ghost/1", 1)
		}, "ghost: ghost/1 in issues: handled, but no publisher sent it"},
		"a poisoned ghost": {func(b *ledgerBook) {
			b.settled(serviceAudit, factPoisoned, "ghost/2", 1)
		}, "ghost: ghost/2 in audit: poisoned, but no publisher sent it"},
		"an altered event": {func(b *ledgerBook) {
			b.published("x", "k", serviceAudit)
			b.line("audit-1.jsonl", `"fact":"handled","service":"audit","id":"x","attempt":1,"digest":"other"`)
		}, "altered: x in audit: handled with data other; published with d-x"},
		"a refused event that was delivered": {func(b *ledgerBook) {
			b.sent("r", "k")
			b.answered("r", outcomeRefused)
			b.settled(serviceAudit, factHandled, "r", 1)
		}, "refused: r in audit: handled, although its publish was refused"},
		"no fault in an event of unknown outcome, here or there": {func(b *ledgerBook) {
			b.sent("u", "k")
			b.answered("u", outcomeUnknown)
			b.sent("v", "k")
			b.settled(serviceAudit, factHandled, "u", 1)
		}, ""},
		"an inversion": {func(b *ledgerBook) {
			b.published("first", "k", serviceAudit)
			b.published("second", "k", serviceAudit)
			b.settled(serviceAudit, factHandled, "second", 1)
			b.settled(serviceAudit, factHandled, "first", 1)
		}, "out of order: first in audit: handled after second, which was published later with the same key"},
		"no inversion across keys": {func(b *ledgerBook) {
			b.published("first", "k", serviceAudit)
			b.published("second", "other", serviceAudit)
			b.settled(serviceAudit, factHandled, "second", 1)
			b.settled(serviceAudit, factHandled, "first", 1)
		}, ""},
		"no inversion by a redelivery": {func(b *ledgerBook) {
			b.published("first", "k")
			b.published("second", "k")
			b.settled(serviceAudit, factHandled, "first", 1)
		}, ""},
		"no inversion across a failed publish": {func(b *ledgerBook) {
			b.published("first", "k", serviceAudit)
			b.sent("between", "k")
			b.answered("between", outcomeUnknown)
			b.published("second", "k", serviceAudit)
			b.settled(serviceAudit, factHandled, "second", 1)
			b.settled(serviceAudit, factHandled, "first", 1)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook()
			b.published("a", "k")
			c.make(b)
			b.published("z", "k")
			status, out := check(t, b.write(t))
			if c.want == "" {
				require.Equal(t, exitOK, status, out)
				return
			}
			require.Equal(t, exitUnaccounted, status, out)
			require.Contains(t, out, c.want)
			require.Contains(t, out, "findings: 1; not every event is accounted for")
		})
	}
}

func TestCheckOverSeveralProcesses(t *testing.T) {
	b := newBook()
	b.sent("a", "k")
	b.answered("a", outcomeOK)
	b.sent("b", "k")
	b.answered("b", outcomeOK)
	for _, s := range []string{serviceIssues, serviceNotifications} {
		b.settled(s, factHandled, "a", 1)
		b.settled(s, factSkipped, "b", 1)
	}
	// Two instances of audit: the first is killed after it handled a, the second gets a again.
	b.settled(serviceAudit, factHandled, "a", 1)
	b.line("audit-2.jsonl", `"fact":"handled","service":"audit","id":"a","attempt":1,"digest":"d-a"`)
	b.line("audit-2.jsonl", `"fact":"handled","service":"audit","id":"b","attempt":2,"digest":"d-b"`)
	b.files["audit-1.jsonl"] = append(b.files["audit-1.jsonl"], `{"at":9,"fact":"hand`) // the kill cut it off

	status, out := check(t, b.write(t))
	require.Equal(t, exitOK, status, out)
	require.Contains(t, out, "audit-1.jsonl: the last line was cut off")
	row := tableRow(t, out, serviceAudit)
	require.Equal(t, tableCounts{received: "-", handled: 2, retried: 1, repeated: 1}, row)
}

func TestCheckRefusesBadLedgers(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"broken in the middle": {"{\"fact\n{\"at\":1,\"fact\":\"sent\",\"id\":\"a\"}\n", "audit-1.jsonl line 1"},
		"unknown fact":         {`{"at":1,"fact":"dreamt","id":"a"}` + "\n", `unknown fact "dreamt"`},
		"unknown service":      {`{"at":1,"fact":"handled","service":"billing","id":"a"}` + "\n", `unknown service "billing"`},
		"no id":                {`{"at":1,"fact":"sent"}` + "\n", "without an id"},
		"unknown outcome":      {`{"at":1,"fact":"published","id":"a","outcome":"fine"}` + "\n", `unknown outcome "fine"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "audit-1.jsonl"), []byte(c.content), 0o600))
			status, out := check(t, dir)
			require.Equal(t, exitUnaccounted, status)
			require.Contains(t, out, c.want)
		})
	}
	status, out := check(t, t.TempDir())
	require.Equal(t, exitUnaccounted, status)
	require.Contains(t, out, "no ledger files")
}

// tableCounts is one row of the closing table.
type tableCounts struct {
	received                                      string
	handled, skipped, retried, poisoned, repeated int
}

func tableRow(t *testing.T, out, service string) tableCounts {
	t.Helper()
	for line := range strings.Lines(out) {
		var name string
		var c tableCounts
		n, err := fmt.Sscan(line, &name, &c.received, &c.handled, &c.skipped, &c.retried, &c.poisoned, &c.repeated)
		if err == nil && n == 7 && name == service {
			return c
		}
	}
	require.Fail(t, "no row of "+service, out)
	return tableCounts{}
}
