package kafka_test

import (
	"errors"
	"net/url"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProvisionCreate(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	o := liveOptions(addrs...)
	o.Partitions, o.ReplicationFactor = 3, 1
	o.TopicConfig = map[string]string{"retention.ms": "3600000", "cleanup.policy": "delete"}
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	var wg sync.WaitGroup
	for range 4 { // as processes that start together
		b := liveBroker(t, o)
		wg.Go(func() {
			assert.NoError(t, b.Declare(t.Context(), sub, leat.Subscription{Topic: sub.Topic, Group: "h"}))
			assert.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 5, 5)...), "the topic can be used at once")
		})
	}
	wg.Wait()
	metadata, err := admin.Metadata(t.Context(), sub.Topic)
	require.NoError(t, err)
	require.Len(t, metadata.Topics[sub.Topic].Partitions, 3)
	configs, err := admin.DescribeTopicConfigs(t.Context(), sub.Topic)
	require.NoError(t, err)
	on, err := configs.On(sub.Topic, nil)
	require.NoError(t, err)
	values := map[string]string{}
	for _, c := range on.Configs {
		values[c.Key] = c.MaybeValue()
	}
	require.Equal(t, "3600000", values["retention.ms"])

	o.Partitions, o.TopicConfig = 5, map[string]string{"retention.ms": "1"}
	require.NoError(t, liveBroker(t, o).Declare(t.Context(), sub), "what exists is left alone")
	metadata, err = admin.Metadata(t.Context(), sub.Topic)
	require.NoError(t, err)
	require.Len(t, metadata.Topics[sub.Topic].Partitions, 3)

	o.TopicConfig = map[string]string{"retention.ms": "soon"}
	err = liveBroker(t, o).Declare(t.Context(), leat.Subscription{Topic: liveName(t), Group: "g"})
	require.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "retention.ms", "the broker's reason is told")
}

func TestProvisionVerify(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	o := liveOptions(addrs...)
	o.Provision, o.Partitions, o.ReplicationFactor = kafka.ProvisionVerify, 2, 1
	o.TopicConfig = map[string]string{"min.insync.replicas": "1", "max.message.bytes": "1048588"}
	right := leat.Subscription{Topic: liveTopic(t, admin, 2), Group: "g"}
	require.NoError(t, liveBroker(t, o).Declare(t.Context(), right))

	o.Partitions, o.ReplicationFactor = 7, 3
	o.TopicConfig = map[string]string{"min.insync.replicas": "2", "max.message.bytes": "2048", "no.such.thing": "x"}
	missing := leat.Subscription{Topic: liveName(t), Group: "g"}
	err := liveBroker(t, o).Declare(t.Context(), right, missing)
	for _, text := range []string{
		"the number of partitions is 2 and should be 7", "the replication factor is 1 and should be 3",
		"the configuration min.insync.replicas is 1 and should be 2", "the configuration max.message.bytes is 1048588 and should be 2048",
		"the configuration no.such.thing is unknown to the cluster and should be x", missing.Topic,
	} {
		assert.ErrorContains(t, err, text)
	}
	several, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%T", err)
	codes := map[leat.Code]bool{}
	for _, one := range several.Unwrap() {
		codes[leat.CodeOf(one)] = true
	}
	require.Equal(t, map[leat.Code]bool{leat.CodeConflict: true, leat.CodeNotFound: true}, codes)
	listed, err := admin.ListTopics(t.Context(), missing.Topic)
	require.NoError(t, err)
	require.Error(t, listed[missing.Topic].Err, "nothing is created")
}

func TestProvisionOff(t *testing.T) {
	addrs := brokertest.Kafka(t)
	o := liveOptions(addrs...)
	o.Provision, o.Partitions = kafka.ProvisionOff, 7
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	require.NoError(t, b.Declare(t.Context(), sub))
	_, err := b.Subscribe(t.Context(), sub)
	require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	_, err = b.Lag(t.Context(), sub.Topic, sub.Group)
	require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	err = livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
}

func TestOpenRefuses(t *testing.T) {
	certs := brokertest.NewCerts(t)
	for query, text := range map[string]string{
		"compressions=lz4":                 "did you mean compression?",
		"linger=5ms&linger=6ms":            "linger",
		"linger=5":                         "linger",
		"buffer=0":                         "buffer",
		"start=now":                        "earliest, latest",
		"tls=perhaps":                      "tls",
		"protocol=share":                   "protocol",
		"sasl=PLAIN":                       "PLAIN without TLS shows the secret",
		"sasl=plain":                       "sasl",
		"sasl=OAUTHBEARER&tls=true":        "token_file",
		"token_file=x":                     "token_file",
		"password_file=x":                  "given twice",
		"ca_file=x":                        "need tls=true",
		"tls=true&ca_file=/does/not/exist": "ca_file",
		"tls=true&ca_file=" + certs.ServerKeyFile:  "ca_file has no certificate",
		"tls=true&cert_file=x":                     "belong together",
		"tls=true&cert_file=/no/x&key_file=/no/y":  "cert_file cannot be read",
		"tls=true&heartbeat_interval=1m":           "HeartbeatInterval",
		"allow_plaintext=true&mapping=anything":    "mapping",
		"tls=true&unknown=1&linger=x&provision=no": "number 2 is unknown",
	} {
		_, err := leat.Openers{"kafka": kafka.Open}.Open(t.Context(), "kafka://ann:Sesame-8471@h:1?"+query)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%s: %v", query, err)
		assert.ErrorContains(t, err, text, query)
		assert.NotContains(t, err.Error(), "Sesame", query)
		for e := err; e != nil; e = errors.Unwrap(e) {
			assert.NotContains(t, e.Error(), "Sesame", query)
		}
	}
	for _, raw := range []string{"kafka://", "kafka://h:1/topic", "kafka://ann@h:1", "kafka://h:1,,h2"} {
		_, err := leat.Openers{"kafka": kafka.Open}.Open(t.Context(), raw)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%s: %v", raw, err)
	}
	_, err := kafka.Open(t.Context(), nil)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = kafka.Open(t.Context(), &url.URL{Scheme: "kafka", Host: "h", Fragment: "x"})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}
