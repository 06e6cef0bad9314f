package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestExtensionOfALostPoll: what comes by a repeated attempt is not lost again by the extension
// that makes sure of its receipts, whether that has no answer or is refused for a while. The
// visibility timeout is longer than this test.
func TestExtensionOfALostPoll(t *testing.T) {
	t.Parallel()
	const extend = "ChangeMessageVisibilityBatch"
	for name, f := range map[string]awsstub.Fault{
		"its answer is lost": {Action: extend, Lose: true, Times: 1},
		"throttled":          {Action: extend, Code: "Throttling", Times: 1},
		"one is throttled":   {Action: extend, PerEntry: true, Code: "Throttling", Server: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Visibility: time.Hour})
			events := s.events(4, 2)
			for _, err := range s.publish(events) {
				require.NoError(t, err)
			}
			s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Lose: true, Times: 1})
			s.server.Break(f)
			s.requireAll(events, s.take(s.stream(s.b), len(events)))
		})
	}
}

// TestPartOfALostPoll: what comes by a repeated attempt and has lost a receipt comes again, before
// the later events of its key.
func TestPartOfALostPoll(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Visibility: 2 * time.Second})
	events := s.events(6, 2)
	for _, err := range s.publish(events) {
		require.NoError(t, err)
	}
	s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Lose: true, Times: 1})
	s.server.Break(awsstub.Fault{
		Action: "ChangeMessageVisibilityBatch", PerEntry: true, Code: "ReceiptHandleIsInvalid", Times: 1,
	})
	s.requireAll(events, s.take(s.stream(s.b), len(events)))
}

// TestLongOutageOfALostPoll: the answer of a poll is lost, and SQS does not answer for longer than
// the poll would have waited. The visibility timeout is longer than this test.
func TestLongOutageOfALostPoll(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Visibility: time.Hour, RequestTimeout: time.Second})
	events := s.events(3, 3)
	for _, err := range s.publish(events) {
		require.NoError(t, err)
	}
	s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Lose: true, Times: 1})
	repair := s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Code: "ServiceUnavailable", Server: true})
	time.AfterFunc(4*time.Second, repair)
	s.requireAll(events, s.take(s.stream(s.b), len(events)))
}

// TestLateLostPoll: a poll that has reached SQS late, and whose answer is lost, brings what comes
// while it still waits there. The visibility timeout is longer than this test.
func TestLateLostPoll(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Visibility: time.Hour, RequestTimeout: 1300 * time.Millisecond})
	s.sub.MaxInFlight = 1
	s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Delay: 2200 * time.Millisecond, Lose: true, Times: 1})
	stream := s.stream(s.b)
	published := make(chan []error, 1)
	time.AfterFunc(2800*time.Millisecond, func() { published <- s.publish(s.events(1, 1)) })
	s.take(stream, 1)
	require.NoError(t, (<-published)[0])
}

// TestCloseDuringALostPoll: Close waits for what the poll may bring, and not for the outage.
func TestCloseDuringALostPoll(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Visibility: time.Hour})
	s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Lose: true, Times: 1})
	s.server.Break(awsstub.Fault{Action: "ReceiveMessage", Code: "ServiceUnavailable", Server: true})
	stream := s.stream(s.b)
	s.nothingMore(stream)
	began := time.Now()
	require.NoError(t, stream.Close(t.Context()))
	require.Less(t, time.Since(began), brokertest.Patience/2)
}
