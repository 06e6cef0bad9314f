package brokertest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

// victimVariable makes this test binary the program that is killed.
const victimVariable = "BROKERTEST_VICTIM"

// victim starts a broker, pauses it, since that is harder to end, says what it has and waits for its own end.
func victim() {
	kafka, err := brokertest.RunKafka(context.Background(), nil)
	if err == nil {
		err = kafka.Pause()
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(kafka.Node(1).PID(), filepath.Dir(kafka.Node(1).Dir()))
	select {} // until it is killed
}

// TestNothingIsLeftBehindByAKilledTest kills a test binary that has a paused broker.
func TestNothingIsLeftBehindByAKilledTest(t *testing.T) {
	t.Parallel()
	requireKafka(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	var (
		pid int
		dir string
	)
	_, err = fmt.Sscan(line, &pid, &dir)
	require.NoError(t, err, line)
	require.True(t, brokertest.Alive(t.Context(), pid, dir), "the broker runs")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist) && !brokertest.Alive(t.Context(), pid, dir)
	}, 10*time.Second, 20*time.Millisecond, "the broker and its folder are gone")
}

// requireKafka ends a test of a function that needs a real Kafka but does not skip by itself.
func requireKafka(t *testing.T) {
	t.Helper()
	if os.Getenv(brokertest.KafkaVariable) == brokertest.Off {
		t.Skip(brokertest.KafkaVariable, "is off")
	}
	err := brokertest.GetKafka(t.Context(), func(string) {})
	if err != nil && (os.Getenv("CI") == "" || errors.Is(err, errors.ErrUnsupported)) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

// javaOnly returns a folder for PATH in which there is java and nothing else.
func javaOnly(t *testing.T) string {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	require.NoError(t, os.Symlink(java, filepath.Join(dir, "java")))
	return dir
}
