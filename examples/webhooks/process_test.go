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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

// settle waits until every event that the publisher publishes is accounted for, ends the services,
// and checks the ledgers.
func settle(t *testing.T, ledgers string, repeat int, publisher *process, services ...*process) {
	t.Helper()
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

// inOneProcess runs the whole program on a broker.
func inOneProcess(t *testing.T, broker, topic string) {
	t.Helper()
	status, out := program(t.Context(), "-broker", broker, "-topic", topic)
	require.Equal(t, exitOK, status, out)
	x := expect(t, embeddedFiles(t))
	require.Contains(t, out, "truncated/push, type com.github.push, attempts 1\n")
	require.Equal(t, x.wanted, tableRow(t, out, serviceIssues).handled)
	require.Equal(t, x.files+1, tableRow(t, out, serviceAudit).handled)
	require.Zero(t, tableRow(t, out, serviceAudit).repeated)
}

// killActive kills the active instance of a service in the middle, so that the one that stands by
// takes over in time, and accounts for every event.
func killActive(t *testing.T, broker, topic string, inTime time.Duration) {
	t.Helper()
	ledgers := t.TempDir()
	const repeat = 30
	start := func(part string, more ...string) *process {
		return startProcess(t, append([]string{"-broker", broker, "-topic", topic, "-ledger", ledgers, "-run", part}, more...)...)
	}
	audits := []*process{start(serviceAudit), start(serviceAudit)}
	services := []*process{start(partPoison), start(serviceIssues), start(serviceNotifications)}
	publisher := start(partPublish, "-repeat", strconv.Itoa(repeat), "-pace", "1ms")

	active := -1
	require.Eventually(t, func() bool {
		for i, p := range audits {
			if ledgerLines(t, ledgers, p.pid()) > 200 {
				active = i
			}
		}
		return active >= 0
	}, time.Minute, 20*time.Millisecond, "no instance of audit works")
	standby := audits[1-active]
	require.Zero(t, ledgerLines(t, ledgers, standby.pid()), "both work at a time")
	audits[active].kill()
	require.Eventually(t, func() bool { return ledgerLines(t, ledgers, standby.pid()) > 0 }, inTime, 20*time.Millisecond,
		"the instance that stands by does not take over")
	settle(t, ledgers, repeat, publisher, append(services, standby)...)
}

// killSharing publishes the events of the example repeat times, lets two instances of a service
// share the work, kills one of them in the middle, and accounts for every event.
func killSharing(t *testing.T, broker, topic string, repeat int) {
	t.Helper()
	ledgers := t.TempDir()
	start := func(part string, more ...string) *process {
		return startProcess(t, append([]string{"-broker", broker, "-topic", topic, "-ledger", ledgers, "-run", part}, more...)...)
	}
	services := []*process{start(partPoison), start(serviceIssues), start(serviceNotifications), start(serviceAudit)}
	victim := start(serviceAudit)
	publisher := start(partPublish, "-repeat", strconv.Itoa(repeat), "-pace", "1ms")

	// Both instances have work before one is killed.
	require.Eventually(t, func() bool {
		return ledgerLines(t, ledgers, services[3].pid()) > 50 && ledgerLines(t, ledgers, victim.pid()) > 50
	}, time.Minute, 20*time.Millisecond, "the two instances of audit do not share the work")
	victim.kill()

	settle(t, ledgers, repeat, publisher, services...)
}
