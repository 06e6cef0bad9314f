package brokertest

import (
	"context"
	"testing"
)

// PubSubVariable names the environment variable with the address of an emulator of Google Cloud
// Pub/Sub to share, host:port. The value Off skips all tests that ask for an emulator.
const PubSubVariable = "LEAT_TEST_PUBSUB"

//nolint:gochecknoglobals // as shared
var sharedPubSub = oneServer{
	variable: PubSubVariable,
	addrOf:   func(s *server) string { return address(s.port) },
	answers:  pubSubAnswers,
	run:      func(ctx context.Context) (*server, error) { return runPubSub(ctx, nil) },
}

// PubSub returns the address of an emulator of Google Cloud Pub/Sub that other tests of the package
// use at the same time, so that a test has to choose names of its own and must not injure it. It is
// the one that LEAT_TEST_PUBSUB names; without that, one is started for this test binary, and Main
// stops it. A test whose emulator cannot be had is skipped, or fails where CI is set.
func PubSub(t testing.TB) string {
	t.Helper()
	return sharedPubSub.get(t)
}
