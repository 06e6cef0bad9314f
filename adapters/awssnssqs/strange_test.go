package awssnssqs_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// TestNewCodeOfAnAccount: while AWS refuses all events by a code that nobody knows, they wait, at
// the pace of an outage. Health and the log tell. They are published when that is over.
func TestNewCodeOfAnAccount(t *testing.T) {
	t.Parallel()
	for name, perEntry := range map[string]bool{"requests": false, "entries": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log brokertest.Logbook
			s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Lanes: 1, Logger: log.Logger()})
			// A round is a batch, and where that is refused as a whole its 10 events alone. The
			// repair comes after some rounds: within one, what was refused would be invalid.
			const rounds = 6
			round := map[bool]int{false: 11, true: 10}[perEntry]
			s.server.Break(awsstub.Fault{Action: "SendMessageBatch", Code: "SomethingNew", PerEntry: perEntry, Times: rounds * round})
			outcomes, events, began := make(chan []error, 1), s.events(200, 200), time.Now()
			go func() { outcomes <- s.publish(events) }()
			require.Eventually(t, func() bool { return s.b.Health() != nil }, brokertest.Patience, time.Millisecond)
			require.ErrorContains(t, s.b.Health(), "SomethingNew")
			for _, err := range <-outcomes {
				require.NoError(t, err)
			}
			require.Greater(t, time.Since(began), time.Second, "between rounds there are pauses")
			require.Len(t, log.With("publishing to AWS fails"), 1)
			require.Len(t, log.With("publishing to AWS works again"), 1)
			require.NoError(t, s.b.Health())
			s.requireAll(events, s.take(s.stream(s.b), len(events)))
		})
	}
}

// TestNewCodeUntilTheDeliveryTimeout: events that AWS has refused all the time by a code that
// nobody knows were not sent.
func TestNewCodeUntilTheDeliveryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := awssnssqs.New(&awssnssqs.Options{
			Mode: awssnssqs.ModeSQS, Provision: awssnssqs.ProvisionOff, DeliveryTimeout: time.Minute,
			Topics: map[string]string{"t": "https://sqs.us-east-1.amazonaws.com/" + awsstub.Account + "/t.fifo"},
			Config: &aws.Config{Region: awsstub.Region, Credentials: static{}, HTTPClient: &http.Client{Transport: refusing{}}},
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, b.Close()) }()
		events := brokertest.Events(t, 0, 20, 20)
		outcomes := make([]error, len(events))
		began := time.Now()
		var wg sync.WaitGroup
		wg.Add(len(events))
		b.Publish(t.Context(), "t", events, func(i int, err error) { outcomes[i] = err; wg.Done() })
		wg.Wait()
		require.Equal(t, time.Minute, time.Since(began))
		for _, err := range outcomes {
			require.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, "SomethingNew")
		}
	})
}

// refusing answers every request at once with a code that nobody knows.
type refusing struct{}

func (refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.NopCloser(strings.NewReader(`{"__type":"com.amazonaws.sqs#SomethingNew","message":"no"}`))
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: body, Request: r}, nil
}

// TestNewCodeOfAnEntry: where others of the same request are stored, a code that nobody knows is
// about the event, and trying again does not help.
func TestNewCodeOfAnEntry(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Lanes: 1})
	s.server.Break(awsstub.Fault{Action: "SendMessageBatch", Code: "SomethingNew", PerEntry: true, Times: 1})
	refused := 0
	for _, err := range s.publish(s.events(10, 10)) {
		if err != nil {
			require.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
			refused++
		}
	}
	require.Equal(t, 1, refused)
}

// TestOrderBehindAnEventThatWaits: events that are sent alone, one of which is throttled, wait in
// their order.
func TestOrderBehindAnEventThatWaits(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Lanes: 1})
	s.server.Break(awsstub.Fault{Action: "SendMessageBatch", Code: "InvalidParameterValue", Times: 1})
	s.server.Break(awsstub.Fault{Action: "SendMessageBatch", Code: "Throttling", Times: 1})
	events := s.events(10, 1)
	for _, err := range s.publish(events) {
		require.NoError(t, err)
	}
	s.requireAll(events, s.take(s.stream(s.b), len(events)))
}
