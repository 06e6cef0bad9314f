package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func topicACL(topic string, ops ...kadm.ACLOperation) *kadm.ACLBuilder {
	return kadm.NewACLs().Topics(topic).Operations(ops...).ResourcePatternType(kadm.ACLPatternLiteral)
}

func groupACL(group string, ops ...kadm.ACLOperation) *kadm.ACLBuilder {
	return kadm.NewACLs().Groups(group).Operations(ops...).ResourcePatternType(kadm.ACLPatternLiteral)
}

// allow creates ACLs for a user and waits until the broker knows them.
func (s *secured) allow(t testing.TB, user string, acls ...*kadm.ACLBuilder) {
	t.Helper()
	for _, acl := range acls {
		created, err := s.admin.CreateACLs(t.Context(), acl.Allow("User:"+user).AllowHosts("*"))
		require.NoError(t, err)
		for _, c := range created {
			require.NoError(t, c.Err)
		}
		require.Eventually(t, func() bool {
			described, err := s.admin.DescribeACLs(t.Context(), acl)
			require.NoError(t, err)
			known := 0
			for _, d := range described {
				known += len(d.Described)
			}
			return known >= len(created)
		}, livePatience, 10*time.Millisecond)
	}
}

// permissions are those of one use of the adapter. Each is needed: the test takes them away one by
// one. docs/kafka-acl.md has them as a table.
type permissions struct {
	use    string
	topic  []kadm.ACLOperation
	group  []kadm.ACLOperation
	exists bool // the topic exists before
	call   func(ctx context.Context, t *testing.T, b *kafka.Broker, sub leat.Subscription) error
	change func(o *kafka.Options)
}

func leastPrivileges() []permissions {
	receive := func(ctx context.Context, t *testing.T, b *kafka.Broker, sub leat.Subscription) error {
		s, err := b.Subscribe(ctx, sub)
		if err != nil {
			return err
		}
		liveReceive(t, s, 1)
		return s.Close(ctx) // which commits
	}
	declare := func(ctx context.Context, _ *testing.T, b *kafka.Broker, sub leat.Subscription) error {
		return b.Declare(ctx, sub)
	}
	ops := func(ops ...kadm.ACLOperation) []kadm.ACLOperation { return ops }
	return []permissions{
		{use: "publish", topic: ops(kadm.OpWrite), exists: true,
			call: func(ctx context.Context, t *testing.T, b *kafka.Broker, sub leat.Subscription) error {
				return livePublish(ctx, b, sub.Topic, liveEvents(t, 0, 2, 1)...)
			}},
		{use: "consume", topic: ops(kadm.OpRead), group: ops(kadm.OpRead), exists: true, call: receive},
		{use: "consume with the consumer protocol", topic: ops(kadm.OpRead), group: ops(kadm.OpRead), exists: true, call: receive,
			change: func(o *kafka.Options) { o.Protocol = kafka.ProtocolConsumer }},
		{use: "broadcast", topic: ops(kadm.OpRead), exists: true,
			call: func(ctx context.Context, t *testing.T, b *kafka.Broker, sub leat.Subscription) error {
				s, err := b.Subscribe(ctx, leat.Subscription{Topic: sub.Topic, Broadcast: true})
				if err != nil {
					return err
				}
				liveNothing(t, s, 200*time.Millisecond)
				return s.Close(ctx)
			}},
		{use: "Lag", topic: ops(kadm.OpDescribe), group: ops(kadm.OpDescribe), exists: true,
			call: func(ctx context.Context, _ *testing.T, b *kafka.Broker, sub leat.Subscription) error {
				_, err := b.Lag(ctx, sub.Topic, sub.Group)
				return err
			}},
		{use: "provision=create", topic: ops(kadm.OpDescribe, kadm.OpCreate), call: declare,
			change: func(o *kafka.Options) { o.TopicConfig = map[string]string{"retention.ms": "3600000"} }},
		{use: "provision=create of a topic that exists", topic: ops(kadm.OpDescribe), exists: true, call: declare},
		{use: "provision=create with start=latest", topic: ops(kadm.OpDescribe, kadm.OpCreate, kadm.OpRead), group: ops(kadm.OpRead),
			call: declare, change: func(o *kafka.Options) { o.Start = kafka.StartLatest }},
		{use: "provision=verify", topic: ops(kadm.OpDescribe), exists: true, call: declare,
			change: func(o *kafka.Options) { o.Provision, o.Partitions = kafka.ProvisionVerify, 1 }},
		{use: "provision=verify with TopicConfig", topic: ops(kadm.OpDescribe, kadm.OpDescribeConfigs), exists: true, call: declare,
			change: func(o *kafka.Options) {
				o.Provision, o.TopicConfig = kafka.ProvisionVerify, map[string]string{"min.insync.replicas": "1"}
			}},
		{use: "provision=off", exists: true, call: declare, change: func(o *kafka.Options) { o.Provision = kafka.ProvisionOff }},
	}
}

// without returns ops less the one at i.
func without(ops []kadm.ACLOperation, i int) []kadm.ACLOperation {
	return append(append([]kadm.ACLOperation(nil), ops[:i]...), ops[i+1:]...)
}

// testACLs checks that each use works with exactly its permissions, and that without any one of
// them it says which resource is refused.
func testACLs(t *testing.T, s *secured) {
	for _, p := range leastPrivileges() {
		t.Run(p.use, func(t *testing.T) {
			sub, err := p.try(t, s, p.topic, p.group)
			require.NoError(t, err, "with all of its permissions, on %s", sub.Topic)
			for i, op := range p.topic {
				if implied(op, p.topic) {
					continue
				}
				sub, err := p.try(t, s, without(p.topic, i), p.group)
				assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "without %v on the topic: %v", op, err)
				assert.ErrorContains(t, err, sub.Topic)
			}
			for i, op := range p.group {
				sub, err := p.try(t, s, p.topic, without(p.group, i))
				assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "without %v on the group: %v", op, err)
				assert.ErrorContains(t, err, sub.Group)
				assert.ErrorIs(t, err, kerr.GroupAuthorizationFailed)
			}
		})
	}
}

// implied reports whether Kafka allows an operation by another of ops.
func implied(op kadm.ACLOperation, ops []kadm.ACLOperation) bool {
	if op != kadm.OpDescribe {
		return false
	}
	for _, other := range ops {
		if other == kadm.OpRead || other == kadm.OpWrite {
			return true
		}
	}
	return false
}

// try does it as a user of its own, who has these permissions and no others.
func (p *permissions) try(t *testing.T, s *secured, topicOps, groupOps []kadm.ACLOperation) (leat.Subscription, error) {
	t.Helper()
	user := "user-" + liveName(t)
	sub := leat.Subscription{Topic: liveName(t), Group: liveName(t) + ".group"}
	if p.exists {
		sub.Topic = liveTopic(t, s.admin, 1)
		super := liveBroker(t, liveOptions(s.cluster.Addrs()...))
		require.NoError(t, livePublish(t.Context(), super, sub.Topic, liveEvents(t, 0, 1, 1)...))
	}
	if len(topicOps) > 0 {
		s.allow(t, user, topicACL(sub.Topic, topicOps...))
	}
	if len(groupOps) > 0 {
		s.allow(t, user, groupACL(sub.Group, groupOps...))
	}
	b := s.as(t, user, p.change)
	return sub, p.call(t.Context(), t, b, sub)
}

// as returns a broker of a user, who needs no password because tokens are believed.
func (s *secured) as(t *testing.T, user string, change func(o *kafka.Options)) *kafka.Broker {
	t.Helper()
	o := liveOptions(s.addr("OAUTH"))
	o.TLS, o.SASL = s.certs.TLS(), &kafka.SASL{Mechanism: kafka.OAuthBearer, Token: func(context.Context) (string, error) {
		return token(t, user, time.Minute), nil
	}}
	if change != nil {
		change(&o)
	}
	return liveBroker(t, o)
}

// testPermissionGrantedLater grants permissions to running clients.
func testPermissionGrantedLater(t *testing.T, s *secured) {
	user, topic, group := "user-"+liveName(t), liveTopic(t, s.admin, 1), liveName(t)
	b := s.as(t, user, nil)
	require.Equal(t, leat.CodePermissionDenied, leat.CodeOf(livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...)))
	s.allow(t, user, topicACL(topic, kadm.OpDescribe))
	require.Equal(t, leat.CodePermissionDenied, leat.CodeOf(livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...)))
	s.allow(t, user, topicACL(topic, kadm.OpWrite))
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 1, 2, 1)...))
	other := liveTopic(t, s.admin, 1)
	err := livePublish(t.Context(), b, other, liveEvents(t, 1, 2, 1)...)
	require.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, other)
	s.allow(t, user, topicACL(other, kadm.OpWrite))
	require.NoError(t, livePublish(t.Context(), b, other, liveEvents(t, 1, 2, 1)...))

	sub := leat.Subscription{Topic: topic, Group: group}
	_, err = b.Subscribe(t.Context(), sub)
	require.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "%v", err)
	s.allow(t, user, topicACL(topic, kadm.OpRead), groupACL(group, kadm.OpRead))
	require.Equal(t, []string{"1"}, liveReceive(t, liveSubscribe(t, b, sub), 1))
}

// testDescribeOnly shows who may describe a group but not read by it: Subscribe cannot know, so
// health says it.
func testDescribeOnly(t *testing.T, s *secured) {
	user, topic, group := "user-"+liveName(t), liveTopic(t, s.admin, 1), liveName(t)
	super := liveBroker(t, liveOptions(s.cluster.Addrs()...))
	require.NoError(t, livePublish(t.Context(), super, topic, liveEvents(t, 0, 1, 1)...))
	s.allow(t, user, topicACL(topic, kadm.OpRead), groupACL(group, kadm.OpDescribe))
	stream := liveSubscribe(t, s.as(t, user, nil), leat.Subscription{Topic: topic, Group: group})
	into, got := make([]leat.Delivery, 1), make(chan error, 1)
	go func() {
		_, err := stream.Receive(t.Context(), into)
		got <- err
	}()
	require.Eventually(t, func() bool { return leat.CodeOf(stream.Health()) == leat.CodePermissionDenied }, livePatience, 10*time.Millisecond,
		"health: %v", stream.Health())
	s.allow(t, user, groupACL(group, kadm.OpRead))
	require.NoError(t, <-got, "it goes on when it may")
	require.Equal(t, "0", into[0].Event.ID())
	require.Eventually(t, func() bool { return stream.Health() == nil }, livePatience, 10*time.Millisecond, "health: %v", stream.Health())
}
