package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// live returns a broker in ModeSQS on a server. The end of the test closes it.
func live(t *testing.T, url string) *awssnssqs.Broker {
	t.Helper()
	return liveIn(t, awssnssqs.ModeSQS, url)
}

func liveIn(t *testing.T, mode awssnssqs.Mode, url string) *awssnssqs.Broker {
	t.Helper()
	b, err := awssnssqs.New(&awssnssqs.Options{
		Mode: mode, Endpoint: url, Wait: time.Second, Visibility: 10 * time.Second, CloseTimeout: 5 * time.Second,
		RequestTimeout: brokertest.Patience, Config: &aws.Config{Region: awsstub.Region, Credentials: static{}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// TestRoundTrip: everything that an event has comes back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	brokertest.RoundTrip(t.Context(), t, live(t, brokertest.ElasticMQ(t)), leat.Subscription{Topic: brokertest.Name(t), Group: "g.1"})
}

// rounds is how often a test injures a server.
func rounds(short, long int) int {
	if brokertest.Long() {
		return long
	}
	return short
}
