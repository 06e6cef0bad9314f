package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestRunPassesOnTheAddressAndTheExitCode(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	t.Setenv(brokertest.KafkaVariable, "127.0.0.1:1") // a broker that the user gives is not started
	t.Setenv(brokertest.RabbitMQVariable, "amqp://127.0.0.1:1")
	t.Setenv(brokertest.NATSVariable, "127.0.0.1:1")
	t.Setenv(brokertest.LocalStackVariable, "http://127.0.0.1:1")
	t.Setenv(brokertest.ElasticMQVariable, "http://127.0.0.1:1")
	t.Setenv(brokertest.PubSubVariable, "127.0.0.1:1")
	code, err := command([]string{"run", "--", "/bin/sh", "-c", `[ "$LEAT_TEST_KAFKA" = 127.0.0.1:1 ] && exit 7`})
	require.NoError(t, err)
	assert.Equal(t, 7, code)

	code, err = command([]string{"run", "--", "/bin/sh", "-c", `kill -9 $$`})
	require.NoError(t, err)
	assert.Equal(t, 128+9, code)
}

func TestRunWithoutJava(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	t.Setenv(brokertest.KafkaVariable, "")
	args := []string{"run", "-kafka", "--", "/bin/sh", "-c", `[ "$LEAT_TEST_KAFKA" = off ]`}

	t.Setenv("CI", "")
	code, err := command(args)
	require.NoError(t, err, "the command runs all the same")
	assert.Zero(t, code, "tests with Kafka are told to skip")

	t.Setenv("CI", "true")
	code, err = command(args)
	require.ErrorIs(t, err, brokertest.ErrMissing)
	assert.Equal(t, 1, code)
}

func TestStartedRabbitMQIsInjuredByCommands(t *testing.T) {
	if os.Getenv(brokertest.RabbitMQVariable) == brokertest.Off {
		t.Skip(brokertest.RabbitMQVariable, "is off")
	}
	if err := brokertest.GetRabbitMQ(t.Context(), func(string) {}); err != nil {
		t.Skip(err) // the tests of brokertest say it where it matters
	}
	dir := filepath.Join(t.TempDir(), "kept")
	t.Cleanup(func() { _, _ = command([]string{"kill", "-dir", dir}) }) // also what a failed start has left
	_, err := command([]string{"start", "-dir", dir, "-broker", "rabbitmq", "-property", "heartbeat=7"})
	require.NoError(t, err)
	node, err := brokertest.OpenRabbitMQ(t.Context(), dir)
	require.NoError(t, err)
	require.True(t, node.Running())

	_, err = command([]string{"kill", "-dir", dir, "-node", "2"})
	require.ErrorContains(t, err, "no node 2")
	_, err = command([]string{"kill", "-dir", dir})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !node.Running() }, 5*time.Second, 10*time.Millisecond)
	_, err = command([]string{"start", "-dir", dir})
	require.NoError(t, err, "the folder says which broker it is")
	_, err = command([]string{"kill", "-dir", dir})
	require.NoError(t, err)
}

func TestStartedNATSIsInjuredByCommands(t *testing.T) {
	if os.Getenv(brokertest.NATSVariable) == brokertest.Off {
		t.Skip(brokertest.NATSVariable, "is off")
	}
	if err := brokertest.GetNATS(t.Context(), func(string) {}); err != nil {
		t.Skip(err) // the tests of brokertest say it where it matters
	}
	dir := filepath.Join(t.TempDir(), "kept")
	t.Cleanup(func() { _, _ = command([]string{"kill", "-dir", dir}) }) // also what a failed start has left
	_, err := command([]string{"start", "-dir", dir, "-broker", "nats", "-nodes", "3", "-property", "max_payload=2MB"})
	require.NoError(t, err)
	c, err := brokertest.OpenNATS(t.Context(), dir)
	require.NoError(t, err)
	config, err := os.ReadFile(filepath.Join(dir, "nats-1", "nats.conf"))
	require.NoError(t, err)
	assert.Contains(t, string(config), "\nmax_payload: 2MB\n")

	_, err = command([]string{"kill", "-dir", dir, "-node", "4"})
	require.ErrorContains(t, err, "no node 4")
	_, err = command([]string{"kill", "-dir", dir, "-node", "3"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !c.Node(3).Running() }, 5*time.Second, 10*time.Millisecond)
	require.True(t, c.Node(2).Running())
	_, err = command([]string{"start", "-dir", dir})
	require.NoError(t, err, "the folder says which broker it is")
	_, err = command([]string{"kill", "-dir", dir})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !c.Node(1).Running() }, 5*time.Second, 10*time.Millisecond)
}

func TestMistakesAreSaid(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"fly"}, {"run"}, {"start"}, {"stop", "-dir", t.TempDir(), "now"}, {"start", "-property", "x"},
		{"start", "-dir", "x", "-broker", "y"}, {"start", "-dir", "x", "-broker", "rabbitmq", "-nodes", "3"},
	} {
		code, err := command(args)
		require.ErrorIs(t, err, errUsage, "%q", args)
		assert.Equal(t, 2, code)
	}
	_, err := command([]string{"stop", "-dir", filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
}
