package brokertest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// KafkaVariable names the environment variable with the addresses of a Kafka to share, host:port
// separated by commas. The value Off skips all tests that ask for a Kafka.
const KafkaVariable = "LEAT_TEST_KAFKA"

// Off is the value of a variable such as KafkaVariable that says that there is no such broker.
const Off = "off"

// sharedKafka is the one Kafka of a test binary.
type sharedKafka struct {
	start   sync.Once
	addrs   []string
	cluster *KafkaCluster // nil when it was started elsewhere
	err     error
}

var shared sharedKafka //nolint:gochecknoglobals // tests of a binary have nothing else in common; Main stops it

// Kafka returns the addresses of a Kafka that other tests use at the same time, so that a test has
// to choose names of its own and must not injure it. It is the one that LEAT_TEST_KAFKA names;
// without that, one is started for this test binary, and Main stops it. A test whose Kafka cannot
// be had is skipped, or fails where CI is set.
func Kafka(t testing.TB) []string {
	t.Helper()
	shared.start.Do(func() { shared.open(t.Context()) })
	require(t, shared.err)
	if shared.cluster != nil {
		t.Cleanup(func() { shared.cluster.showLogs(t) })
	}
	return append([]string(nil), shared.addrs...)
}

// Main runs the tests of a package and stops the brokers that its tests shared. It is called by
// TestMain, which returns then.
func Main(m *testing.M) {
	defer shared.close()
	defer sharedRabbitMQ.close()
	defer sharedNATS.close()
	defer sharedLocalStack.close()
	defer sharedElasticMQ.close()
	defer sharedPubSub.close()
	defer sharedApicurio.close()
	m.Run()
}

// MainChecked is [Main], and fails the run when leaks, which is goleak's Find, reports goroutines
// that are left when all tests have closed what they opened.
func MainChecked(m *testing.M, leaks func() error) {
	Main(m)
	if err := leaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (s *sharedKafka) open(ctx context.Context) {
	addrs, err := addrsFromEnv(KafkaVariable)
	if err != nil {
		s.err = err
		return
	}
	if len(addrs) > 0 {
		if _, err := kafkaBrokers(ctx, addrs[0]); err != nil {
			s.err = fmt.Errorf("%s names a Kafka that does not answer: %w", KafkaVariable, err)
		}
		s.addrs = addrs
		return
	}
	// The test that comes first ends before the others.
	s.cluster, s.err = RunKafka(context.WithoutCancel(ctx), nil)
	if s.err == nil {
		s.addrs = s.cluster.Addrs()
	}
}

func (s *sharedKafka) close() {
	if s.cluster == nil {
		return
	}
	if err := s.cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "remove Kafka:", err)
	}
}
