package gcppubsub_test

import (
	"context"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	topicPath = "projects/leat/topics/orders"
	subPath   = "projects/leat/subscriptions/orders_billing"
)

// on returns a broker on a fake. The end of the test closes it.
func on(t *testing.T, f *fake, o gcppubsub.Options) *gcppubsub.Broker {
	t.Helper()
	o.Project, o.Endpoint, o.AckDeadline = project, "http://"+f.Addr(), 10*time.Second
	b, err := gcppubsub.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

func billing() leat.Subscription { return leat.Subscription{Topic: "orders", Group: "billing"} }

// TestDeclareCreates a subscription that never expires, with what the options say.
func TestDeclareCreates(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	_, err := f.GServer.CreateTopic(t.Context(), &pb.Topic{Name: "projects/leat/topics/dead"})
	require.NoError(t, err)
	b := on(t, f, gcppubsub.Options{
		Retention: time.Hour, TopicRetention: 2 * time.Hour, RetainAcked: true, ExactlyOnce: true, Filter: `attributes:x`,
		DeadLetterTopic: "dead", DeadLetterAttempts: 7, Regions: []string{"europe-west1"},
	})
	sub := billing()
	sub.Unordered = true // as a dead-letter topic demands
	require.NoError(t, b.Declare(t.Context(), sub))
	require.NoError(t, b.Declare(t.Context(), sub))
	is, err := f.GServer.GetSubscription(t.Context(), &pb.GetSubscriptionRequest{Subscription: subPath})
	require.NoError(t, err)
	assert.False(t, is.GetEnableMessageOrdering())
	assert.True(t, is.GetRetainAckedMessages())
	assert.True(t, is.GetEnableExactlyOnceDelivery())
	assert.NotNil(t, is.GetExpirationPolicy())
	assert.Nil(t, is.GetExpirationPolicy().GetTtl())
	assert.Equal(t, time.Hour, is.GetMessageRetentionDuration().AsDuration())
	assert.Equal(t, "attributes:x", is.GetFilter())
	assert.Equal(t, int32(7), is.GetDeadLetterPolicy().GetMaxDeliveryAttempts())
	assert.Equal(t, map[string]string{"leat-topic": "orders", "leat-group": "billing"}, is.GetLabels())
	topic, err := f.GServer.GetTopic(t.Context(), &pb.GetTopicRequest{Topic: topicPath})
	require.NoError(t, err)
	assert.Equal(t, []string{"europe-west1"}, topic.GetMessageStoragePolicy().GetAllowedPersistenceRegions())
	assert.Equal(t, 2*time.Hour, topic.GetMessageRetentionDuration().AsDuration())
}

// TestVerifyReportsEverything in one error, and creates nothing.
func TestVerifyReportsEverything(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{Provision: gcppubsub.ProvisionVerify})
	err := b.Declare(t.Context(), billing())
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	require.ErrorContains(t, err, `the topic "orders" does not exist`)
	require.ErrorContains(t, err, `the subscription "orders_billing" does not exist`)

	for _, name := range []string{topicPath, "projects/leat/topics/other"} {
		_, err = f.GServer.CreateTopic(t.Context(), &pb.Topic{Name: name})
		require.NoError(t, err)
	}
	_, err = f.GServer.CreateSubscription(t.Context(), &pb.Subscription{
		Name: subPath, Topic: "projects/leat/topics/other", AckDeadlineSeconds: 10, MessageRetentionDuration: durationpb.New(time.Hour),
		ExpirationPolicy: &pb.ExpirationPolicy{Ttl: durationpb.New(24 * time.Hour)}, Filter: "attributes:x", RetainAckedMessages: true,
		EnableExactlyOnceDelivery: true, PushConfig: &pb.PushConfig{PushEndpoint: "https://h.test"}, Detached: true,
		DeadLetterPolicy: &pb.DeadLetterPolicy{DeadLetterTopic: topicPath, MaxDeliveryAttempts: 5},
		Labels:           map[string]string{"leat-group": "other"},
	})
	require.NoError(t, err)
	err = b.Declare(t.Context(), billing())
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
	for _, text := range []string{
		"of the type push", "detached", "no message ordering", `label leat-group "other"`, "the message ordering of", "the expiration",
		"the retention of the", "the retention of acknowledged", "exactly-once", "the filter", "the dead-letter topic", "number of deliveries",
	} {
		require.ErrorContains(t, err, text)
	}
}

// TestSubscribeRefuses what cannot be consumed, whatever Provision says.
func TestSubscribeRefuses(t *testing.T) {
	t.Parallel()
	for text, s := range map[string]*pb.Subscription{
		"of the type push":        {PushConfig: &pb.PushConfig{PushEndpoint: "https://h.test"}},
		"BigQuery":                {BigqueryConfig: &pb.BigQueryConfig{Table: "t"}},
		"Cloud Storage":           {CloudStorageConfig: &pb.CloudStorageConfig{Bucket: "b"}},
		"detached":                {Detached: true},
		"the topic of":            {Topic: "projects/leat/topics/other"},
		"no message ordering":     {Labels: map[string]string{"plain": "yes"}},
		"a dead-letter topic":     {DeadLetterPolicy: &pb.DeadLetterPolicy{DeadLetterTopic: topicPath}},
		`label leat-topic "else"`: {Labels: map[string]string{"leat-topic": "else"}},
	} {
		for _, provision := range []gcppubsub.Provision{gcppubsub.ProvisionCreate, gcppubsub.ProvisionVerify, gcppubsub.ProvisionOff} {
			f := startFake(t)
			for _, name := range []string{topicPath, "projects/leat/topics/other"} {
				_, err := f.GServer.CreateTopic(t.Context(), &pb.Topic{Name: name})
				require.NoError(t, err)
			}
			s := &pb.Subscription{
				Name: subPath, Topic: s.GetTopic(), AckDeadlineSeconds: 10, EnableMessageOrdering: s.GetLabels()["plain"] == "",
				PushConfig: s.GetPushConfig(), BigqueryConfig: s.GetBigqueryConfig(), CloudStorageConfig: s.GetCloudStorageConfig(),
				Detached: s.GetDetached(), Labels: s.GetLabels(), DeadLetterPolicy: s.GetDeadLetterPolicy(),
			}
			if s.GetTopic() == "" {
				s.Topic = topicPath
			}
			_, err := f.GServer.CreateSubscription(t.Context(), s)
			require.NoError(t, err)
			b := on(t, f, gcppubsub.Options{Provision: provision})
			_, err = b.Subscribe(t.Context(), billing())
			require.ErrorContains(t, err, text)
			assert.Contains(t, []leat.Code{leat.CodeUnsupported, leat.CodeConflict}, leat.CodeOf(err), text)
		}
	}
}

// TestOffNeedsNoMorePermissions: a consumer that may not look at its subscription consumes.
func TestOffNeedsNoMorePermissions(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	require.NoError(t, on(t, f, gcppubsub.Options{}).Declare(t.Context(), billing()))
	f.Break("GetSubscription", says(codes.PermissionDenied))
	f.Break("GetTopic", says(codes.PermissionDenied))
	b := on(t, f, gcppubsub.Options{Provision: gcppubsub.ProvisionOff})
	require.NoError(t, b.Declare(t.Context(), billing()))
	s, err := b.Subscribe(t.Context(), billing())
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{Key: "k"})))
	into := make([]leat.Delivery, 1)
	n, err := s.Receive(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
}

// TestDeadLettersBreakOrder: a group that needs order gets no dead-letter topic, and one that needs
// none does.
func TestDeadLettersBreakOrder(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	_, err := f.GServer.CreateTopic(t.Context(), &pb.Topic{Name: "projects/leat/topics/dead"})
	require.NoError(t, err)
	b := on(t, f, gcppubsub.Options{DeadLetterTopic: "dead"})
	err = b.Declare(t.Context(), billing())
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
	require.ErrorContains(t, err, "Subscription.Unordered")
	_, err = f.GServer.GetSubscription(t.Context(), &pb.GetSubscriptionRequest{Subscription: subPath})
	assert.Equal(t, codes.NotFound, status.Code(err), "it is not created")
	sub := billing()
	sub.Unordered = true
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	assert.Equal(t, leat.OrderNone, s.Capabilities().Order)
}

// TestHealthKnowsOfOrder: a stream that could not look at its subscription says when Pub/Sub tells
// that this keeps no order.
func TestHealthKnowsOfOrder(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		f := startFake(t)
		sub := billing()
		sub.Unordered = unordered
		require.NoError(t, on(t, f, gcppubsub.Options{}).Declare(t.Context(), sub))
		f.Break("GetSubscription", says(codes.PermissionDenied))
		b := on(t, f, gcppubsub.Options{Provision: gcppubsub.ProvisionOff})
		s, err := b.Subscribe(t.Context(), billing())
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{Key: "k"})))
		ack(s, take(t, s, 1))
		err = s.(*gcppubsub.Stream).Health()
		if unordered {
			assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
		} else {
			require.NoError(t, err)
		}
	}
}

// TestNamesOfItsOwn are used, and not created.
func TestNamesOfItsOwn(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	o := gcppubsub.Options{
		Topics:        map[string]string{"orders": "orders-v2"},
		Subscriptions: map[gcppubsub.Group]string{{Topic: "orders", Group: "billing"}: "projects/leat/subscriptions/mine"},
	}
	b := on(t, f, o)
	err := b.Declare(t.Context(), billing())
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	_, err = f.GServer.CreateTopic(t.Context(), &pb.Topic{Name: "projects/leat/topics/orders-v2"})
	require.NoError(t, err)
	_, err = f.GServer.CreateSubscription(t.Context(), &pb.Subscription{
		Name: "projects/leat/subscriptions/mine", Topic: "projects/leat/topics/orders-v2", AckDeadlineSeconds: 10, EnableMessageOrdering: true,
	})
	require.NoError(t, err)
	require.NoError(t, b.Declare(t.Context(), billing()))
}

// TestNames: those that Pub/Sub takes stay, and all others get a hash.
func TestNames(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]string{
		"orders": "orders", "orders.placed": "orders.placed", "ab": "ab-fb8e20fc", "7up": "x-7up-", "google.x": "x-google.x-",
	} {
		assert.Contains(t, gcppubsub.TopicName(topic), want[:min(len(want), 3)], topic)
		if topic == want {
			assert.Equal(t, want, gcppubsub.TopicName(topic))
		} else {
			assert.Greater(t, len(gcppubsub.TopicName(topic)), 9, topic)
		}
	}
	assert.Equal(t, "orders.placed_billing", gcppubsub.SubscriptionName("orders.placed", "billing"))
	assert.NotEqual(t, gcppubsub.SubscriptionName("a_b", "c"), gcppubsub.SubscriptionName("a", "b_c"))
}

// TestWhatDoesNotExist is named by Pub/Sub, where a call is about several things.
func TestWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	absent := func(what string) func(context.Context) error {
		return func(context.Context) error {
			return status.Error(codes.NotFound, "Resource not found (resource="+what+").")
		}
	}
	b := on(t, f, gcppubsub.Options{DeadLetterTopic: "dead"})
	sub := billing()
	sub.Unordered = true // as a dead-letter topic demands
	repair := f.Break("CreateTopic", absent("projects/leat"))
	errs := map[string]error{"projects/leat": b.Declare(t.Context(), sub)}
	repair()
	repair = f.Break("CreateSubscription", absent("dead"))
	errs["dead"] = b.Declare(t.Context(), sub)
	_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Broadcast: true})
	require.ErrorContains(t, err, "resource=dead")
	repair()
	f.Break("Seek", absent("snapshots/s"))
	errs["snapshots/s"] = b.ReplaySnapshot(t.Context(), billing(), "s")
	for what, err := range errs {
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
		require.ErrorContains(t, err, what)
		assert.NotContains(t, err.Error(), "does not exist")
	}
}

// TestFilter: a filter of attributes of events passes those in structured mode, and there is none
// for poison queues.
func TestFilter(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{Filter: `attributes:"ce-type"`})
	require.NoError(t, b.Declare(t.Context(), billing(), leat.ReplayOf(billing())))
	is, err := f.GServer.GetSubscription(t.Context(), &pb.GetSubscriptionRequest{
		Subscription: "projects/leat/subscriptions/" + gcppubsub.SubscriptionName("orders.billing.poison", leat.ReplayGroup),
	})
	require.NoError(t, err)
	assert.Empty(t, is.GetFilter())
	s, err := b.Subscribe(t.Context(), billing())
	require.NoError(t, err)
	long := event(t, &leat.EventOptions{Subject: strings.Repeat("s", 1025)})
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", long))
	into := make([]leat.Delivery, 1)
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	_, err = s.Receive(ctx, into)
	require.NoError(t, err)
	assert.Equal(t, long.Subject(), into[0].Event.Subject())
	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
}
