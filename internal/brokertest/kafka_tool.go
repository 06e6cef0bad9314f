package brokertest

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

// KafkaTool returns a command that runs one of Kafka's Java tools by its class, such as
// org.apache.kafka.tools.ConsoleProducer, in a folder of its own. It ends with ctx. A test whose
// Kafka cannot be had is skipped, or fails where CI is set.
func KafkaTool(ctx context.Context, t testing.TB, class string, args ...string) *exec.Cmd {
	t.Helper()
	_, err := addrsFromEnv(KafkaVariable)
	require(t, err)
	kit, err := getKafka(ctx, func(string) {})
	require(t, err)
	dir := t.TempDir()
	kit.archive = "" // it holds the classes of a broker, and another main class would say that it does not fit
	all := append(kit.flags(dir), class)
	all = append(all, args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	return cmd
}
