package brokertest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
)

// RabbitMQVariable names the environment variable with a RabbitMQ to share: its URL, such as
// amqp://guest:guest@127.0.0.1:5672/, and behind a comma that of its management API, if it has one.
// The value Off skips all tests that ask for RabbitMQ.
const RabbitMQVariable = "LEAT_TEST_RABBITMQ"

// sharedRabbit is the one RabbitMQ of a test binary.
type sharedRabbit struct {
	start sync.Once
	urls  []string      // as in the variable
	node  *RabbitMQNode // nil when it was started elsewhere
	err   error
}

var sharedRabbitMQ sharedRabbit //nolint:gochecknoglobals // as shared

// RabbitMQ returns the URL of a RabbitMQ that other tests use at the same time, so that a test has
// to choose names of its own and must not injure it. It is the one that LEAT_TEST_RABBITMQ names;
// without that, one is started for this test binary, and Main stops it. A test whose RabbitMQ
// cannot be had is skipped, or fails where CI is set.
func RabbitMQ(t testing.TB) string {
	t.Helper()
	return sharedRabbitMQ.get(t)[0]
}

// RabbitMQManagement returns the URL, without a path, of the management API of the broker of
// RabbitMQ. A test is skipped when the variable names none.
func RabbitMQManagement(t testing.TB) string {
	t.Helper()
	urls := sharedRabbitMQ.get(t)
	if len(urls) < 2 {
		require(t, fmt.Errorf("%w: %s names no management API behind a comma", ErrMissing, RabbitMQVariable))
	}
	return urls[1]
}

func (s *sharedRabbit) get(t testing.TB) []string {
	t.Helper()
	s.start.Do(func() { s.open(t.Context()) })
	require(t, s.err)
	if s.node != nil {
		t.Cleanup(func() { showLog(t, s.node.Process) })
	}
	return s.urls
}

func (s *sharedRabbit) open(ctx context.Context) {
	if s.urls, s.err = rabbitFromEnv(); s.err != nil {
		return
	}
	if len(s.urls) > 0 {
		s.err = rabbitAnswers(ctx, s.urls[0])
		return
	}
	// The test that comes first ends before the others.
	s.node, s.err = RunRabbitMQ(context.WithoutCancel(ctx), nil)
	if s.err == nil {
		s.urls = []string{s.node.URL(), s.node.ManagementURL()}
	}
}

func (s *sharedRabbit) close() {
	if s.node == nil {
		return
	}
	if err := s.node.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "remove RabbitMQ:", err)
	}
}

// rabbitAnswers looks for a broker at a URL that somebody has given.
func rabbitAnswers(ctx context.Context, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%s is not a URL such as amqp://guest:guest@127.0.0.1:5672/", RabbitMQVariable) // it may have a password
	}
	if u.Scheme == "amqps" {
		return nil // whom to trust is the test's to say
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "5672")
	}
	if err := amqpProbe(ctx, addr); err != nil {
		return fmt.Errorf("%s names a RabbitMQ that does not answer: %w", RabbitMQVariable, err)
	}
	return nil
}

// rabbitFromEnv returns the URLs that the environment names, none when it names none.
func rabbitFromEnv() ([]string, error) {
	value := os.Getenv(RabbitMQVariable)
	if value == Off {
		return nil, fmt.Errorf("%w: %s=%s", ErrMissing, RabbitMQVariable, Off)
	}
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }), nil
}
