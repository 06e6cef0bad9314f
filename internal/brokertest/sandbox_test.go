package brokertest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

// victimVariable makes this test binary the program that is killed; its value is the broker that
// the program has.
const victimVariable = "BROKERTEST_VICTIM"

// victim starts a broker, pauses it, since that is harder to end, says what it has and waits for
// its own end.
func victim(broker string) {
	start := map[string]func(context.Context) (*brokertest.Process, error){
		"kafka": victimKafka, "rabbitmq": victimRabbitMQ, "nats": victimNATS, "localstack": victimLocalStack, "elasticmq": victimElasticMQ,
		"pubsub": victimPubSub,
	}[broker]
	p, err := start(context.Background())
	if err == nil {
		err = p.Pause()
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(filepath.Dir(p.Dir()))
	select {} // until it is killed
}

func victimKafka(ctx context.Context) (*brokertest.Process, error) {
	kafka, err := brokertest.RunKafka(ctx, nil)
	if err != nil {
		return nil, err
	}
	return kafka.Node(1), nil
}

func victimRabbitMQ(ctx context.Context) (*brokertest.Process, error) {
	node, err := brokertest.RunRabbitMQ(ctx, nil)
	if err != nil {
		return nil, err
	}
	return node.Process, nil
}

func victimNATS(ctx context.Context) (*brokertest.Process, error) {
	nats, err := brokertest.RunNATS(ctx, nil)
	if err != nil {
		return nil, err
	}
	return nats.Node(1), nil
}

func victimLocalStack(ctx context.Context) (*brokertest.Process, error) {
	s, err := brokertest.RunLocalStack(ctx, nil)
	if err != nil {
		return nil, err
	}
	return s.Process, nil
}

func victimElasticMQ(ctx context.Context) (*brokertest.Process, error) {
	s, err := brokertest.RunElasticMQ(ctx, nil)
	if err != nil {
		return nil, err
	}
	return s.Process, nil
}

func victimPubSub(ctx context.Context) (*brokertest.Process, error) {
	s, err := brokertest.RunPubSub(ctx, nil)
	if err != nil {
		return nil, err
	}
	return s.Process, nil
}

// TestNothingIsLeftBehindByAKilledTest kills test binaries that have a paused broker.
func TestNothingIsLeftBehindByAKilledTest(t *testing.T) {
	t.Parallel()
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		requireKafka(t)
		leavesNothing(t, "kafka")
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		requireRabbitMQ(t)
		leavesNothing(t, "rabbitmq")
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		brokertest.NATS(t) // skips where there is none
		leavesNothing(t, "nats")
	})
	t.Run("localstack", func(t *testing.T) {
		t.Parallel()
		brokertest.LocalStack(t) // skips where there is none
		leavesNothing(t, "localstack")
	})
	t.Run("elasticmq", func(t *testing.T) {
		t.Parallel()
		brokertest.ElasticMQ(t) // skips where there is none
		leavesNothing(t, "elasticmq")
	})
	t.Run("pubsub", func(t *testing.T) {
		t.Parallel()
		brokertest.PubSub(t) // skips where there is none
		leavesNothing(t, "pubsub")
	})
}

func leavesNothing(t *testing.T, broker string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+broker)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	dir, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	dir = strings.TrimSpace(dir)
	require.DirExists(t, dir)
	running := processesOf(t, dir)
	require.NotEmpty(t, running, "the broker runs")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist) && len(processesOf(t, dir)) == 0
	}, 10*time.Second, 20*time.Millisecond, "the broker and its folder are gone")
}

// processesOf returns the ids of the processes of a broker in a folder: those that it has told,
// and, where Linux tells, all others whose working folder it is.
func processesOf(t *testing.T, dir string) []int {
	t.Helper()
	var ids []int
	told, err := filepath.Glob(filepath.Join(dir, "*", "pid"))
	require.NoError(t, err)
	for _, file := range told {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just gone
		}
		pid, err := strconv.Atoi(string(text))
		require.NoError(t, err)
		if brokertest.Alive(t.Context(), pid, dir) {
			ids = append(ids, pid)
		}
	}
	folders, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range folders {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, dir) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			require.NoError(t, err)
			ids = append(ids, pid)
		}
	}
	return ids
}

// requireKafka ends a test of a function that needs a real Kafka but does not skip by itself.
func requireKafka(t *testing.T) {
	t.Helper()
	requireBroker(t, brokertest.KafkaVariable, brokertest.GetKafka)
}

// requireBroker ends a test whose broker is off or cannot be had.
func requireBroker(t *testing.T, variable string, get func(context.Context, func(string)) error) {
	t.Helper()
	if os.Getenv(variable) == brokertest.Off {
		t.Skip(variable, "is off")
	}
	err := get(t.Context(), func(string) {})
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
