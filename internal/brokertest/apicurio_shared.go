package brokertest

import (
	"context"
	"testing"
)

// ApicurioVariable names the environment variable with the URL of a registry to share that has the
// REST API of Confluent's Schema Registry, such as http://127.0.0.1:8080/apis/ccompat/v7. The value
// Off skips all tests that ask for an Apicurio.
const ApicurioVariable = "LEAT_TEST_APICURIO"

//nolint:gochecknoglobals // as shared
var sharedApicurio = oneServer{
	variable: ApicurioVariable,
	addrOf:   func(s *server) string { return apicurioURL(s.port) },
	answers:  func(ctx context.Context, url string) error { return pageAnswers(ctx, url+"/subjects") },
	run:      runApicurio,
}

// Apicurio returns the URL of Confluent's API of an Apicurio registry that other tests of the
// package use at the same time, so that a test has to choose names of its own and must not injure
// it. It is the one that LEAT_TEST_APICURIO names; without that, one is started for this test
// binary, and Main stops it. A test whose Apicurio cannot be had is skipped, or fails where CI is
// set.
func Apicurio(t testing.TB) string {
	t.Helper()
	return sharedApicurio.get(t)
}
