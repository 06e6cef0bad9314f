package brokertest

import (
	"context"
	"testing"
)

// LocalStackVariable and ElasticMQVariable name the environment variables with the URL of a server
// to share, such as http://127.0.0.1:4566. The value Off skips all tests that ask for that server.
const (
	LocalStackVariable = "LEAT_TEST_LOCALSTACK"
	ElasticMQVariable  = "LEAT_TEST_ELASTICMQ"
)

//nolint:gochecknoglobals // as shared
var (
	sharedLocalStack = sharedAWS(LocalStackVariable, func(ctx context.Context) (*server, error) { return runLocalStack(ctx, nil) })
	sharedElasticMQ  = sharedAWS(ElasticMQVariable, func(ctx context.Context) (*server, error) { return runElasticMQ(ctx, nil) })
)

func sharedAWS(variable string, run func(context.Context) (*server, error)) oneServer {
	return oneServer{variable: variable, addrOf: func(s *server) string { return awsURL(s.port) }, answers: awsAnswers, run: run}
}

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

// startAWS starts a server that belongs to a test.
func startAWS(t testing.TB, variable string, run func(context.Context) (*server, error)) *AWSServer {
	t.Helper()
	return &AWSServer{startServer(t, variable, run)}
}
