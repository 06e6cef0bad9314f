package brokertest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// NATSVariable names the environment variable with the addresses of a NATS to share, host:port
// separated by commas. The value Off skips all tests that ask for a NATS.
const NATSVariable = "LEAT_TEST_NATS"

// oneNATS is the one NATS of a test binary.
type oneNATS struct {
	start   sync.Once
	addrs   []string
	cluster *NATSCluster // nil when it was started elsewhere
	err     error
}

var sharedNATS oneNATS //nolint:gochecknoglobals // as shared

// NATS returns the addresses of a NATS that other tests use at the same time, so that a test has to
// choose names of its own and must not injure it. It is the one that LEAT_TEST_NATS names; without
// that, one is started for this test binary, and Main stops it. A test whose NATS cannot be had is
// skipped, or fails where CI is set.
func NATS(t testing.TB) []string {
	t.Helper()
	s := &sharedNATS
	s.start.Do(func() { s.open(t.Context()) })
	require(t, s.err)
	if s.cluster != nil {
		t.Cleanup(func() { showLog(t, s.cluster.Node(1)) })
	}
	return append([]string(nil), s.addrs...)
}

func (s *oneNATS) open(ctx context.Context) {
	if s.addrs, s.err = addrsFromEnv(NATSVariable); s.err != nil {
		return
	}
	if len(s.addrs) > 0 {
		s.err = natsAnswers(ctx, s.addrs[0])
		return
	}
	// The test that comes first ends before the others.
	s.cluster, s.err = RunNATS(context.WithoutCancel(ctx), nil)
	if s.err == nil {
		s.addrs = s.cluster.Addrs()
	}
}

func (s *oneNATS) close() {
	if s.cluster == nil {
		return
	}
	if err := s.cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "remove NATS:", err)
	}
}
