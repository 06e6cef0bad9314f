package gcppubsub_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	apiv1 "cloud.google.com/go/pubsub/v2/apiv1"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The tests of this file show, without Leat, where the emulator is not as Pub/Sub. They are the
// reasons of what the tests of the adapter leave out. Where one fails, the emulator was mended, and
// the exceptions that name it can go.

// rawPubSub is a topic with a subscription at the emulator, by Google's generated client.
type rawPubSub struct {
	t             *testing.T
	topics        *apiv1.TopicAdminClient
	subscriptions *apiv1.SubscriptionAdminClient
	topic, name   string
	deadline      int32 // of acks, in seconds
}

// lease is the deadline of acks, in seconds, where nobody waits for it: on a busy machine the
// emulator may stand still for longer than the shortest one, of 10 s.
const lease = 300

// rawAt makes a topic and a subscription of it. Its deadline is that of lease where it has none.
func rawAt(t *testing.T, addr string, is *pb.Subscription) *rawPubSub {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	e := &rawPubSub{t: t, topic: "projects/raw/topics/t" + rand.Text(), name: "projects/raw/subscriptions/s" + rand.Text()}
	e.topics, err = apiv1.NewTopicAdminClient(t.Context(), option.WithGRPCConn(conn))
	require.NoError(t, err)
	e.subscriptions, err = apiv1.NewSubscriptionAdminClient(t.Context(), option.WithGRPCConn(conn))
	require.NoError(t, err)
	_, err = e.topics.CreateTopic(t.Context(), &pb.Topic{Name: e.topic})
	require.NoError(t, err)
	is.Name, is.Topic, is.AckDeadlineSeconds = e.name, e.topic, cmp.Or(is.GetAckDeadlineSeconds(), lease)
	e.deadline = is.GetAckDeadlineSeconds()
	_, err = e.subscriptions.CreateSubscription(t.Context(), is)
	require.NoError(t, err)
	return e
}

// publish publishes messages of a key, in one request.
func (e *rawPubSub) publish(key string, data ...string) {
	e.t.Helper()
	r := &pb.PublishRequest{Topic: e.topic}
	for _, text := range data {
		r.Messages = append(r.Messages, &pb.PubsubMessage{Data: []byte(text), OrderingKey: key})
	}
	_, err := e.topics.Publish(e.t.Context(), r)
	require.NoError(e.t, err)
}

// puller is an open stream.
type puller struct {
	stream pb.Subscriber_StreamingPullClient
	came   chan []*pb.ReceivedMessage
	cancel context.CancelFunc
}

// pull opens a stream that is to have no more than most messages out.
func (e *rawPubSub) pull(most int64) *puller {
	e.t.Helper()
	ctx, cancel := context.WithCancel(e.t.Context())
	e.t.Cleanup(cancel)
	stream, err := e.subscriptions.StreamingPull(ctx)
	require.NoError(e.t, err)
	require.NoError(e.t, stream.Send(&pb.StreamingPullRequest{
		Subscription: e.name, StreamAckDeadlineSeconds: e.deadline, MaxOutstandingMessages: most, ClientId: rand.Text(),
	}))
	p := &puller{stream: stream, came: make(chan []*pb.ReceivedMessage, 100), cancel: cancel}
	go func() {
		defer close(p.came)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			p.came <- r.GetReceivedMessages()
		}
	}()
	return p
}

// take returns the next n messages.
func (p *puller) take(t *testing.T, n int) (messages []*pb.ReceivedMessage) {
	t.Helper()
	timeout := time.After(brokertest.Patience)
	for len(messages) < n {
		select {
		case more, ok := <-p.came:
			require.True(t, ok, "the stream has ended")
			messages = append(messages, more...)
		case <-timeout:
			require.Failf(t, "nothing more comes", "%d of %d: %s", len(messages), n, texts(messages))
		}
	}
	return messages
}

func texts(messages []*pb.ReceivedMessage) string {
	all := make([]string, 0, len(messages))
	for _, m := range messages {
		all = append(all, string(m.GetMessage().GetData()))
	}
	return strings.Join(all, " ")
}

func idsOf(messages []*pb.ReceivedMessage) []string {
	all := make([]string, 0, len(messages))
	for _, m := range messages {
		all = append(all, m.GetAckId())
	}
	return all
}

func (e *rawPubSub) ack(messages ...*pb.ReceivedMessage) {
	e.t.Helper()
	require.NoError(e.t, e.subscriptions.Acknowledge(e.t.Context(), &pb.AcknowledgeRequest{Subscription: e.name, AckIds: idsOf(messages)}))
}

// giveBack makes messages come again at once.
func (e *rawPubSub) giveBack(messages ...*pb.ReceivedMessage) {
	e.t.Helper()
	require.NoError(e.t, e.subscriptions.ModifyAckDeadline(e.t.Context(), &pb.ModifyAckDeadlineRequest{
		Subscription: e.name, AckIds: idsOf(messages), AckDeadlineSeconds: 0,
	}))
}

// numbered returns n texts.
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

// TestEmulatorOrderOfGiveBacks: a message that is given back comes again behind later ones of its
// key; Pub/Sub delivers all that follow it again, after it.
func TestEmulatorOrderOfGiveBacks(t *testing.T) {
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{EnableMessageOrdering: true})
	e.publish("k", numbered("k", 8)...)
	p := e.pull(1000)
	out := p.take(t, 8)
	require.Equal(t, "k0 k1 k2 k3 k4 k5 k6 k7", texts(out))
	e.giveBack(out[2])
	require.Equal(t, "k2", texts(p.take(t, 1)), "alone, though the later ones were not acknowledged")
}

// TestEmulatorSpreadsKeys: an ordering key does not stay on a stream; at Pub/Sub it stays with a
// client while messages of it are out. A stream looks for messages about every 100 ms, and the
// first that looks gets them. So there are several, opened one after another: of two that look at
// the same moment one would get all for long.
func TestEmulatorSpreadsKeys(t *testing.T) {
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{EnableMessageOrdering: true})
	const streams, most = 5, 200
	type arrival struct {
		stream   int
		messages []*pb.ReceivedMessage
	}
	came := make(chan arrival, most)
	byStream := map[int]bool{}
	for i := 0; i < most && len(byStream) < 2; i++ {
		if i < streams {
			p := e.pull(1000)
			go func() {
				for messages := range p.came {
					came <- arrival{i, messages}
				}
			}()
		}
		e.publish("k", fmt.Sprint(i))
		select {
		case a := <-came:
			byStream[a.stream] = true
			e.ack(a.messages...)
		case <-time.After(brokertest.Patience):
			require.Fail(t, "nothing comes")
		}
	}
	require.Greater(t, len(byStream), 1)
}

// TestEmulatorHasNoFlowControl: a stream gets more than it has asked for.
func TestEmulatorHasNoFlowControl(t *testing.T) {
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{})
	e.publish("", numbered("", 50)...)
	require.Len(t, e.pull(4).take(t, 50), 50)
}

// TestEmulatorAppliesNoFilter: messages that a filter excludes come all the same.
func TestEmulatorAppliesNoFilter(t *testing.T) {
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{Filter: `attributes.a = "1"`})
	e.publish("", "unwanted")
	require.Equal(t, "unwanted", texts(e.pull(4).take(t, 1)))
}

// TestEmulatorLimits: what Pub/Sub refuses, and the emulator takes.
func TestEmulatorLimits(t *testing.T) {
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{})
	many := map[string]string{}
	for i := range 101 {
		many[fmt.Sprint(i)] = "v"
	}
	for what, messages := range map[string][]*pb.PubsubMessage{
		"several ordering keys in a request": {{Data: []byte("d"), OrderingKey: "a"}, {Data: []byte("d"), OrderingKey: "b"}},
		"a value of 1,025 bytes":             {{Attributes: map[string]string{"a": strings.Repeat("v", 1025)}}},
		"a name of 257 bytes":                {{Attributes: map[string]string{strings.Repeat("n", 257): "v"}}},
		"an ordering key of 1,025 bytes":     {{Data: []byte("d"), OrderingKey: strings.Repeat("k", 1025)}},
		"101 attributes":                     {{Attributes: many}},
	} {
		_, err := e.topics.Publish(t.Context(), &pb.PublishRequest{Topic: e.topic, Messages: messages})
		require.NoError(t, err, what)
	}
}

// TestEmulatorKeepsWhatACanceledStreamHad: it comes again only when its deadline is over.
func TestEmulatorKeepsWhatACanceledStreamHad(t *testing.T) {
	if !brokertest.Long() {
		t.Skip("it waits for a deadline, and runs with LEAT_LONG")
	}
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{AckDeadlineSeconds: 10})
	e.publish("", "m")
	first := e.pull(10)
	first.take(t, 1)
	begun := time.Now()
	first.cancel()
	require.Equal(t, "m", texts(e.pull(10).take(t, 1)))
	require.Greater(t, time.Since(begun), 8*time.Second)
}

// TestEmulatorOrderAfterTheEndOfAStream: when a stream ends, as after the death of its client,
// later messages of its keys go to another stream at once, while those that it had are still out.
// These come behind, when their deadline is over. Pub/Sub delivers the later ones after them. It
// needs an emulator that notices the end of a stream, as the one that brokertest starts does.
func TestEmulatorOrderAfterTheEndOfAStream(t *testing.T) {
	is := &pb.Subscription{EnableMessageOrdering: true}
	if brokertest.Long() {
		is.AckDeadlineSeconds = 20
	}
	e := rawAt(t, brokertest.StartPubSub(t, nil).Addr(), is)
	first := e.pull(1000)
	e.publish("k", numbered("early", 3)...)
	first.take(t, 3)
	second := e.pull(1000)
	e.publish("k", numbered("late", 3)...)
	first.cancel()
	late := second.take(t, 3)
	require.Equal(t, "late0 late1 late2", texts(late))
	if !brokertest.Long() {
		return // the rest waits for a deadline
	}
	e.ack(late...)
	require.Equal(t, "early0 early1 early2", texts(second.take(t, 3)[:3]))
}

// TestEmulatorAcceptsLateAcks: an ack whose deadline has passed is accepted with exactly-once
// delivery, where the message did not come again; Pub/Sub refuses it.
func TestEmulatorAcceptsLateAcks(t *testing.T) {
	if !brokertest.Long() {
		t.Skip("it waits for a deadline, and runs with LEAT_LONG")
	}
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{EnableExactlyOnceDelivery: true, AckDeadlineSeconds: 10})
	e.publish("", "m")
	first := e.pull(10)
	out := first.take(t, 1)
	first.cancel()
	time.Sleep(12 * time.Second) // the deadline is 10 s, and nobody receives meanwhile
	e.ack(out...)
}

// TestEmulatorMissesCalls: calls that it does not have.
func TestEmulatorMissesCalls(t *testing.T) {
	e := rawAt(t, brokertest.PubSub(t), &pb.Subscription{EnableMessageOrdering: true})
	_, err := e.topics.DetachSubscription(t.Context(), &pb.DetachSubscriptionRequest{Subscription: e.name})
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
	// With message ordering. Without, there is this one.
	_, err = e.subscriptions.Seek(t.Context(), &pb.SeekRequest{
		Subscription: e.name, Target: &pb.SeekRequest_Time{Time: timestamppb.Now()},
	})
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
}

// TestEmulatorForgets everything when it ends, so the suite does not kill it.
func TestEmulatorForgets(t *testing.T) {
	s := brokertest.StartPubSub(t, nil)
	e := rawAt(t, s.Addr(), &pb.Subscription{})
	e.publish("", "m")
	s.Kill()
	require.NoError(t, s.Start(t.Context()))
	require.Eventually(t, func() bool {
		_, err := e.topics.GetTopic(t.Context(), &pb.GetTopicRequest{Topic: e.topic})
		return status.Code(err) == codes.NotFound
	}, brokertest.Patience, 10*time.Millisecond)
}

// TestEmulatorNoticesTheEndOfStreams: the emulator that brokertest starts ends a stream that its
// client has canceled; the one of the package keeps it, with its threads.
func TestEmulatorNoticesTheEndOfStreams(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("threads are counted by /proc")
	}
	s := brokertest.StartPubSub(t, nil)
	e := rawAt(t, s.Addr(), &pb.Subscription{})
	before := threads(t, s)
	const streams = 50
	for i := range streams {
		e.publish("", strconv.Itoa(i))
		p := e.pull(10)
		e.ack(p.take(t, 1)...)
		p.cancel()
	}
	require.Eventually(t, func() bool { return threads(t, s) < before+streams/2 }, brokertest.Patience, 10*time.Millisecond)
}

// TestEmulatorHasAThreadForEachKey: the emulator has a thread for each ordering key of a
// subscription with message ordering, also after the subscription was deleted. With 10,000 it takes
// longer than 10 s for an ack, and leases lapse. Then streams end, and order does as in
// TestEmulatorOrderAfterTheEndOfAStream.
func TestEmulatorHasAThreadForEachKey(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("threads are counted by /proc")
	}
	s := brokertest.StartPubSub(t, nil)
	e := rawAt(t, s.Addr(), &pb.Subscription{EnableMessageOrdering: true})
	before := threads(t, s)
	const keys = 200
	for i := range keys {
		e.publish(fmt.Sprint("k", i), "d")
	}
	require.GreaterOrEqual(t, threads(t, s), before+keys)
	require.NoError(t, e.subscriptions.DeleteSubscription(t.Context(), &pb.DeleteSubscriptionRequest{Subscription: e.name}))
	require.GreaterOrEqual(t, threads(t, s), before+keys)
}

// threads returns how many threads an emulator has.
func threads(t *testing.T, s *brokertest.PubSubServer) (n int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "Threads:")
	_, err = fmt.Sscan(rest, &n)
	require.NoError(t, err)
	return n
}
