package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnOutageHasTwoLines for publishing, and two for a queue, however often each is tried.
func TestAnOutageHasTwoLines(t *testing.T) {
	t.Parallel()
	var log brokertest.Logbook
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Logger: log.Logger()})
	stream := s.stream(s.b)
	repair := s.server.Break(awsstub.Fault{Code: "Throttling"})
	events := s.events(2, 2)
	got := make(chan map[string][]string, 1)
	go func() { got <- s.take(stream, len(events)) }()
	outcomes := make(chan []error, 1)
	go func() { outcomes <- s.publish(events) }()
	begins := []string{`WARN msg="publishing to AWS fails" code=exhausted`, `WARN msg="a queue cannot be read" topic=orders group=billing`}
	for _, text := range begins {
		require.Eventually(t, func() bool { return len(log.With(text)) > 0 }, brokertest.Patience, time.Millisecond, text)
	}
	before := s.server.Calls()["ReceiveMessage"]
	require.Eventually(t, func() bool { return s.server.Calls()["ReceiveMessage"] > before+1 }, brokertest.Patience, time.Millisecond)
	repair()
	s.requireAll(events, <-got)
	for _, err := range <-outcomes {
		require.NoError(t, err)
	}
	ends := []string{`INFO msg="publishing to AWS works again" lasted=`, `INFO msg="a queue can be read again" topic=orders`}
	for _, text := range append(begins, ends...) {
		require.Len(t, log.With(text), 1, text)
	}
}

// TestOneServiceIsDown: SNS takes events while SQS cannot be reached.
func TestOneServiceIsDown(t *testing.T) {
	s := onStub(t, awssnssqs.Options{})
	t.Setenv("AWS_ACCESS_KEY_ID", awsstub.KeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_ENDPOINT_URL_SNS", s.server.URL())
	t.Setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
	b, err := awssnssqs.New(&awssnssqs.Options{Region: awsstub.Region, Provision: awssnssqs.ProvisionOff, DeliveryTimeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	_, err = b.Subscribe(t.Context(), s.sub)
	require.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), faultTopic, s.events(1, 1)...))
}
