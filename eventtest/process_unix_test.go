//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package eventtest_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startTalking starts a process, in a group of its own, whose child writes lines as fast as it can,
// and counts them.
func startTalking(t *testing.T) (pid int, lines *atomic.Int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `sh -c 'while echo line; do :; done'; exit 0`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines = &atomic.Int64{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines.Add(1)
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-read
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool { return lines.Load() > 0 }, 10*time.Second, time.Millisecond)
	return cmd.Process.Pid, lines
}

func TestPauseProcess(t *testing.T) {
	pid, lines := startTalking(t)
	for range 5 {
		require.NoError(t, eventtest.PauseProcess(t.Context(), -pid))
		for _, state := range states(t, pid) {
			assert.Equal(t, "T", state)
		}
		require.NoError(t, eventtest.ResumeProcess(-pid))
		before := lines.Load()
		require.Eventually(t, func() bool { return lines.Load() > before }, 10*time.Second, time.Millisecond)
	}
	require.NoError(t, eventtest.PauseProcess(t.Context(), pid))
	before := lines.Load()
	assert.Eventually(t, func() bool { return lines.Load() > before }, 10*time.Second, time.Millisecond, "its child goes on")
}

// states returns the states of the processes of a group, as the system's own tool tells.
func states(t *testing.T, group int) (states []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pgid=,state=").Output()
	if err != nil {
		t.Skip("there is no ps: ", err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 2 && f[0] == strconv.Itoa(group) {
			states = append(states, f[1][:1])
		}
	}
	require.GreaterOrEqual(t, len(states), 2)
	return states
}

func TestPauseProcessThatIsGone(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exit 0")
	require.NoError(t, cmd.Run())
	require.ErrorIs(t, eventtest.PauseProcess(t.Context(), cmd.Process.Pid), syscall.ESRCH)
	require.ErrorIs(t, eventtest.ResumeProcess(cmd.Process.Pid), syscall.ESRCH)
}

// A ctx that has ended bounds the wait, not the signal.
func TestPauseProcessInTime(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("the system does not tell how threads do")
	}
	pid, _ := startTalking(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := eventtest.PauseProcess(ended, -pid)
	if err != nil { // it may stand already
		require.ErrorIs(t, err, context.Canceled)
	}
	require.NoError(t, eventtest.PauseProcess(t.Context(), -pid))
}
