package brokertest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// LocalStackVariable and ElasticMQVariable name the environment variables with the URL of a server
// to share, such as http://127.0.0.1:4566. The value Off skips all tests that ask for that server.
const (
	LocalStackVariable = "LEAT_TEST_LOCALSTACK"
	ElasticMQVariable  = "LEAT_TEST_ELASTICMQ"
)

// oneAWS is the one LocalStack or ElasticMQ of a test binary.
type oneAWS struct {
	variable string
	run      func(context.Context) (*AWSServer, error)

	start  sync.Once
	url    string
	server *AWSServer // nil when it was started elsewhere
	err    error
}

//nolint:gochecknoglobals // as shared
var (
	sharedLocalStack = oneAWS{variable: LocalStackVariable, run: func(ctx context.Context) (*AWSServer, error) {
		return RunLocalStack(ctx, nil)
	}}
	sharedElasticMQ = oneAWS{variable: ElasticMQVariable, run: func(ctx context.Context) (*AWSServer, error) {
		return RunElasticMQ(ctx, nil)
	}}
)

// LocalStack returns the endpoint of a LocalStack that other tests use at the same time, so that a
// test has to choose names of its own and must not injure it. It is the one that
// LEAT_TEST_LOCALSTACK names; without that, one is started for this test binary, and Main stops it.
// A test whose LocalStack cannot be had is skipped, or fails where CI is set.
func LocalStack(t testing.TB) string {
	t.Helper()
	return sharedLocalStack.get(t)
}

// ElasticMQ is [LocalStack] for an ElasticMQ, which LEAT_TEST_ELASTICMQ names.
func ElasticMQ(t testing.TB) string {
	t.Helper()
	return sharedElasticMQ.get(t)
}

func (s *oneAWS) get(t testing.TB) string {
	t.Helper()
	s.start.Do(func() { s.open(t.Context()) })
	require(t, s.err)
	if s.server != nil {
		t.Cleanup(func() { showLog(t, s.server.Process) })
	}
	return s.url
}

func (s *oneAWS) open(ctx context.Context) {
	urls, err := addrsFromEnv(s.variable)
	if err != nil {
		s.err = err
		return
	}
	if len(urls) > 0 {
		s.url = urls[0]
		if err := awsAnswers(ctx, s.url); err != nil {
			s.err = fmt.Errorf("%s names a server that does not answer: %w", s.variable, err)
		}
		return
	}
	// The test that comes first ends before the others.
	s.server, s.err = s.run(context.WithoutCancel(ctx))
	if s.err == nil {
		s.url = s.server.URL()
	}
}

func (s *oneAWS) close() {
	if s.server == nil {
		return
	}
	if err := s.server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "remove "+s.server.spec.name+":", err)
	}
}

// startAWS starts a server that belongs to a test.
func startAWS(t testing.TB, variable string, run func(context.Context) (*AWSServer, error)) *AWSServer {
	t.Helper()
	_, err := addrsFromEnv(variable)
	require(t, err)
	s, err := run(t.Context())
	require(t, err)
	t.Cleanup(func() {
		showLog(t, s.Process)
		if err := s.Close(); err != nil {
			t.Errorf("remove %s: %v", s.spec.name, err)
		}
	})
	return s
}
