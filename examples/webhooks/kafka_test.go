package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKafka runs the program on a real Kafka: as one process, with nothing changed but the URL, and as several.
func TestKafka(t *testing.T) {
	broker := "kafka://" + strings.Join(brokertest.StartKafka(t, nil).Addrs(), ",") +
		"?partitions=6&session_timeout=6s&heartbeat_interval=500ms"
	t.Run("in one process", func(t *testing.T) {
		status, out := program(t.Context(), "-broker", broker, "-topic", "one")
		require.Equal(t, exitOK, status, out)
		x := expect(t, embeddedFiles(t))
		require.Contains(t, out, "truncated/push, type com.github.push, attempts 1\n")
		require.Equal(t, x.wanted, tableRow(t, out, serviceIssues).handled)
		require.Equal(t, x.files+1, tableRow(t, out, serviceAudit).handled)
		require.Zero(t, tableRow(t, out, serviceAudit).repeated)
	})
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killOnKafka(t, broker) })
}

// killOnKafka lets two instances of a service share the work, kills one of them in the middle, and accounts for every event.
func killOnKafka(t *testing.T, broker string) {
	ledgers := t.TempDir()
	const repeat = 30
	start := func(part string, more ...string) *process {
		return startProcess(t, append([]string{"-broker", broker, "-topic", "many", "-ledger", ledgers, "-run", part}, more...)...)
	}
	services := []*process{start(partPoison), start(serviceIssues), start(serviceNotifications), start(serviceAudit)}
	victim := start(serviceAudit)
	publisher := start(partPublish, "-repeat", strconv.Itoa(repeat), "-pace", "1ms")

	// Both instances have work before one is killed.
	require.Eventually(t, func() bool {
		return ledgerLines(t, ledgers, services[3].pid()) > 50 && ledgerLines(t, ledgers, victim.pid()) > 50
	}, time.Minute, 20*time.Millisecond, "the two instances of audit do not share the work")
	victim.kill()

	require.Zero(t, publisher.wait(), publisher.out.String())
	assert.Eventually(t, func() bool {
		status, _ := check(t, ledgers)
		return status == exitOK
	}, time.Minute, 100*time.Millisecond)
	for _, p := range services {
		p.interrupt()
	}
	for _, p := range services {
		require.Zero(t, p.wait(), p.out.String())
	}
	status, out := check(t, ledgers)
	require.Equal(t, exitOK, status, out)
	require.Equal(t, repeat*expect(t, embeddedFiles(t)).files+1, tableRow(t, out, serviceAudit).handled)
}

// process is the program in a process of its own.
type process struct {
	cmd  *exec.Cmd
	out  *lockedBuffer
	done bool
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0]), out: &lockedBuffer{}}
	p.cmd.Env = append(os.Environ(), "WEBHOOKS_ARGS="+strings.Join(args, " "))
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if !p.done {
			p.kill()
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// wait returns the exit status.
func (p *process) wait() int {
	p.done = true
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.wait()
}

func (p *process) interrupt() { _ = p.cmd.Process.Signal(syscall.SIGINT) }

// ledgerLines counts what the process of that id has noted.
func ledgerLines(t *testing.T, dir string, pid int) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("*-%d-*.jsonl", pid)))
	require.NoError(t, err)
	n := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		n += bytes.Count(text, []byte("\n"))
	}
	return n
}
