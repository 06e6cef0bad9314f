package main

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plainBroker hides what only the broker in memory can do.
type plainBroker struct {
	leat.Broker
	leat.Declarer
}

// sharedBroker stays open when a part closes it, as a broker on a server does.
type sharedBroker struct{ *memory.Broker }

func (sharedBroker) Close() error { return nil }

// withScheme lets the program open a broker of the test for the scheme.
func withScheme(t *testing.T, scheme string, open func() leat.Broker) {
	t.Helper()
	brokers[scheme] = func(context.Context, *url.URL) (leat.Broker, error) { return open(), nil }
	t.Cleanup(func() { delete(brokers, scheme) })
}

// TestBrokerWithoutRawDelivery is the run on every broker that only takes events: the broken
// delivery is one whose data is cut off.
func TestBrokerWithoutRawDelivery(t *testing.T) {
	withScheme(t, "plain", func() leat.Broker {
		b := memory.New(nil)
		return plainBroker{b, b}
	})
	status, out := program(t.Context(), "-broker", "plain://")
	require.Equal(t, exitOK, status, out)
	x := expect(t, embeddedFiles(t))
	require.Contains(t, out, "truncated/push, type com.github.push, attempts 1\n")
	require.Equal(t, x.wanted, tableRow(t, out, serviceIssues).handled)
	require.Equal(t, 1, tableRow(t, out, serviceIssues).poisoned)
	require.Equal(t, x.files+1, tableRow(t, out, serviceAudit).handled)
}

// shareBroker makes a broker for several parts at a time, a folder for their ledgers, and the
// arguments of a part that uses both.
func shareBroker(t *testing.T) (ledgers string, args func(part string, more ...string) []string) {
	t.Helper()
	broker := memory.New(nil)
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	withScheme(t, "shared", func() leat.Broker { return sharedBroker{broker} })
	ledgers = t.TempDir()
	return ledgers, func(part string, more ...string) []string {
		return append([]string{"-broker", "shared://", "-ledger", ledgers, "-run", part}, more...)
	}
}

// TestParts runs every part by itself, two instances of one of them, and accounts for them
// together.
func TestParts(t *testing.T) {
	ledgers, args := shareBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type result struct {
		part   string
		status int
		out    string
	}
	results := make(chan result)
	parts := []string{partPoison, serviceAudit, serviceAudit, serviceIssues, serviceNotifications}
	for _, part := range parts {
		go func() {
			out := &lockedBuffer{}
			status := run(ctx, args(part), out, out)
			results <- result{part, status, out.String()}
		}()
	}
	for _, prefix := range []string{"p1/", "p2/"} {
		status, out := program(ctx, args(partPublish, "-repeat", "3", "-prefix", prefix)...)
		require.Equal(t, exitOK, status, out)
	}

	require.Eventually(t, func() bool {
		status, _ := check(t, ledgers)
		return status == exitOK
	}, 20*time.Second, 50*time.Millisecond)
	stop()
	for range parts {
		r := <-results
		require.Equal(t, exitOK, r.status, "%s: %s", r.part, r.out)
	}
	status, out := check(t, ledgers)
	require.Equal(t, exitOK, status, out)
	require.Equal(t, 6*expect(t, embeddedFiles(t)).files, tableRow(t, out, serviceAudit).handled)
	require.Equal(t, 8, tableRow(t, out, serviceNotifications).poisoned) // 6 times meta/deleted, and 2 malformed ones
}

// TestRollingRestarts stops and starts two instances of every service while events are published: a
// stop in order loses nothing, breaks no order, and hands over without handling anything twice.
func TestRollingRestarts(t *testing.T) {
	ledgers, args := shareBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	failures := make(chan string)
	var instances sync.WaitGroup
	for i, part := range slices.Repeat([]string{partPoison, serviceAudit, serviceIssues, serviceNotifications}, 2) {
		instances.Go(func() {
			for life := 30 * time.Millisecond; ctx.Err() == nil; life += time.Duration(7*(i+1)) * time.Millisecond {
				lived, end := context.WithTimeout(ctx, life)
				if status, out := program(lived, args(part)...); status != exitOK {
					failures <- part + ": " + out
				}
				end()
			}
		})
	}
	go func() {
		instances.Wait()
		close(failures)
	}()
	status, out := program(ctx, args(partPublish, "-repeat", "10", "-pace", "1ms")...)
	require.Equal(t, exitOK, status, out)
	assert.Eventually(t, func() bool {
		status, _ := check(t, ledgers)
		return status == exitOK
	}, 20*time.Second, 100*time.Millisecond)
	stop()
	for failure := range failures {
		t.Error(failure)
	}
	status, out = check(t, ledgers)
	require.Equal(t, exitOK, status, out)
	for _, service := range serviceNames() {
		require.Zero(t, tableRow(t, out, service).repeated, out)
	}
}

// TestLedgerSurvivesKill kills the program in the middle and reads what it wrote until then.
func TestLedgerSurvivesKill(t *testing.T) {
	ledgers := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "WEBHOOKS_ARGS=-pace 1ms -repeat 1000 -ledger "+ledgers)
	require.NoError(t, cmd.Start())
	size := func() (n int64) {
		paths, _ := filepath.Glob(filepath.Join(ledgers, "*.jsonl"))
		for _, p := range paths {
			if info, err := os.Stat(p); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return size() > 20_000 }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	facts, _, err := readLedgers(ledgers)
	require.NoError(t, err)
	require.Greater(t, len(facts), 50)
}

// lockedBuffer is written to by a part that runs beside the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
