package googlecloud_test

import (
	"crypto/rand"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill/googlecloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
)

// TestPublishCodes: what Pub/Sub answers a publish with decides whether the event is refused. All
// other codes are of unknown outcome, after the client has repeated the publish as long as it may.
func TestPublishCodes(t *testing.T) {
	t.Parallel()
	want := map[codes.Code]leat.Code{
		codes.InvalidArgument: leat.CodeInvalid, codes.FailedPrecondition: leat.CodeInvalid, codes.OutOfRange: leat.CodeInvalid,
		codes.NotFound: leat.CodeNotFound, codes.PermissionDenied: leat.CodePermissionDenied,
		codes.Unauthenticated: leat.CodeUnauthenticated, codes.Unimplemented: leat.CodeUnsupported,
		codes.ResourceExhausted: leat.CodeUnknown, // the client repeats it until its time is over
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			s := fake(t, pstest.WithErrorInjection("Publish", code, "injected"))
			b := open(t, s.Addr, googlecloud.Options{DeliveryTimeout: time.Second})
			sub := group("codes")
			require.NoError(t, leat.Declare(within(t), b, sub))
			expected, known := want[code]
			if !known {
				expected = leat.CodeUnknown
			}
			for range 2 { // a key that has failed goes on
				err := leat.NewProducer(b, nil).Publish(within(t), sub.Topic, event(t, &leat.EventOptions{Source: "/s", Key: "k"}))
				assert.Equal(t, expected, leat.CodeOf(err), "%v", err)
			}
		})
	}
}

// TestCallCodes: what Pub/Sub answers the calls of Declare and Subscribe with.
func TestCallCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]leat.Code{
		codes.InvalidArgument: leat.CodeInvalid, codes.PermissionDenied: leat.CodePermissionDenied,
		codes.Unauthenticated: leat.CodeUnauthenticated, codes.Internal: leat.CodeUnavailable,
	} {
		for _, call := range []string{"GetSubscription", "CreateSubscription", "CreateTopic"} {
			t.Run(call+" "+code.String(), func(t *testing.T) {
				t.Parallel()
				b := open(t, fake(t, pstest.WithErrorInjection(call, code, "injected")).Addr, googlecloud.Options{})
				sub := group("codes")
				err := leat.Declare(within(t), b, sub)
				assert.Equal(t, want, leat.CodeOf(err), "%v", err)
				_, err = b.Subscribe(within(t), sub)
				assert.Equal(t, want, leat.CodeOf(err), "%v", err)
			})
		}
	}
}

// TestRefused: a missing topic, names and metadata that Pub/Sub does not take, and events that are
// too large are refused, and the key goes on.
func TestRefused(t *testing.T) {
	addr := fake(t).Addr
	b := open(t, addr, googlecloud.Options{})
	p, e := leat.NewProducer(b, nil), event(t, &leat.EventOptions{Source: "/s", Key: "k"})
	sub := group("missing")
	for range 2 {
		err := p.Publish(within(t), sub.Topic, e)
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	}
	require.NoError(t, leat.Declare(within(t), b, sub))
	require.NoError(t, p.Publish(within(t), sub.Topic, e))
	assert.True(t, gather(t, b, sub, 1, ok)[0].Equal(e))

	client := plain(t, addr)
	skipping := open(t, addr, googlecloud.Options{SkipInitialize: true})
	other := group("nothing")
	require.NoError(t, leat.Declare(within(t), skipping, other))
	_, err := skipping.Subscribe(within(t), other)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	_, err = client.TopicAdminClient.GetTopic(within(t), &pubsubpb.GetTopicRequest{Topic: topicPath(other.Topic)})
	require.Error(t, err, "nothing was created")
}

// TestConflicts: a subscription that does not hold what is promised is refused.
func TestConflicts(t *testing.T) {
	addr := fake(t).Addr
	client := plain(t, addr)
	b := open(t, addr, googlecloud.Options{})
	topic := "conflicts-" + rand.Text()
	_, err := client.TopicAdminClient.CreateTopic(within(t), &pubsubpb.Topic{Name: topicPath(topic)})
	require.NoError(t, err)
	says := map[string]string{
		"unordered": "has no message ordering", "push": "is not of the type pull", "detached": "is detached from its topic; delete it",
	}
	for group, is := range map[string]*pubsubpb.Subscription{
		"unordered": {},
		"push": {EnableMessageOrdering: true, PushConfig: &pubsubpb.PushConfig{
			PushEndpoint: "https://127.0.0.1:1/", AuthenticationMethod: &pubsubpb.PushConfig_OidcToken_{},
		}},
		"detached": {EnableMessageOrdering: true, Detached: true},
	} {
		is.Name, is.Topic = subscriptionPath(topic+"_"+group), topicPath(topic)
		_, err := client.SubscriptionAdminClient.CreateSubscription(within(t), is)
		require.NoError(t, err)
		sub := leat.Subscription{Topic: topic, Group: group}
		err = leat.Declare(within(t), b, sub)
		assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%s: %v", group, err)
		require.ErrorContains(t, err, says[group])
		_, err = b.Subscribe(within(t), sub)
		assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%s: %v", group, err)
	}
	other := open(t, addr, googlecloud.Options{SubscriptionName: func(string, string) string { return topic + "_unordered" }})
	err = leat.Declare(within(t), other, group("elsewhere"))
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err), "the subscription of another topic: %v", err)
}

// TestNoCredentials: an error of opening shows no path and no content of a credentials file.
func TestNoCredentials(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	_, err := googlecloud.New(&googlecloud.Options{
		Project:       project,
		ClientOptions: []option.ClientOption{option.WithAuthCredentialsJSON(option.ServiceAccount, []byte(`{"type":"secret"}`))},
	})
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%v", err)
	assert.NotContains(t, err.Error(), `{"type"`)
}
