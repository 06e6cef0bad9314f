package gcppubsub_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const local = "&endpoint=http%3A%2F%2F127.0.0.1%3A8085"

func open(t *testing.T, raw string) (*gcppubsub.Options, error) {
	t.Helper()
	var o gcppubsub.Options
	b, err := leat.Openers{"gcppubsub": gcppubsub.OpenWith(func(read *gcppubsub.Options) { o = *read })}.Open(t.Context(), raw)
	if err == nil {
		require.NoError(t, b.Close())
	}
	return &o, err
}

func TestURL(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	o, err := open(t, "gcppubsub://shop?buffer=5&buffer_bytes=6&delivery_timeout=1m&requests=7&structured&ack_deadline=1m&pulls=3"+
		"&provision=verify&retention=1h&topic_retention=2h&retain_acked&exactly_once=true&filter=hasPrefix(attributes.a%2C%22b%22)"+
		"&dead_letter_topic=dead&dead_letter_attempts=8&regions=europe-west1,europe-west4&request_timeout=1s&dial_timeout=2s"+
		"&close_timeout=3s&allow_plaintext=false"+local)
	require.NoError(t, err)
	assert.Equal(t, gcppubsub.Options{
		Project: "shop", Endpoint: "http://127.0.0.1:8085", Buffer: 5, BufferBytes: 6, DeliveryTimeout: time.Minute, Requests: 7,
		Structured: true, AckDeadline: time.Minute, Pulls: 3, Provision: gcppubsub.ProvisionVerify, Retention: time.Hour,
		TopicRetention: 2 * time.Hour, RetainAcked: true, ExactlyOnce: true, Filter: `hasPrefix(attributes.a,"b")`,
		DeadLetterTopic: "dead", DeadLetterAttempts: 8, Regions: []string{"europe-west1", "europe-west4"},
		RequestTimeout: time.Second, DialTimeout: 2 * time.Second, CloseTimeout: 3 * time.Second,
	}, *o)
}

func TestURLRefuses(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	for raw, text := range map[string]string{
		"gcppubsub://":                                    "no project",
		"gcppubsub://me:s3cret@shop?" + local:             "application default credentials",
		"gcppubsub://shop:1?" + local:                     "without a port",
		"gcppubsub://shop/path?" + local:                  "leave the path out",
		"gcppubsub://shop?key=s3cret" + local:             "is unknown",
		"gcppubsub://shop?ack_deadline=9s" + local:        "parameter ack_deadline is wrong",
		"gcppubsub://shop?ack_deadline=10500ms" + local:   "whole seconds",
		"gcppubsub://shop?retention=1m" + local:           "parameter retention is wrong",
		"gcppubsub://shop?requests=0" + local:             "parameter requests is wrong",
		"gcppubsub://shop?dead_letter_attempts=4" + local: "parameter dead_letter_attempts is wrong",
		"gcppubsub://shop?dead_letter_attempts=5" + local: "needs a DeadLetterTopic",
		"gcppubsub://shop?regions=,," + local:             "(regions) is empty",
		"gcppubsub://shop?" + local + "%2Fpath":           "more than a host and a port",
		"gcppubsub://shop?endpoint=http://h.test":         "allow_plaintext=true",
		"gcppubsub://shop?endpoint=127.0.0.1:1":           "Options.Endpoint is not a URL",
	} {
		_, err := open(t, raw)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), raw)
		require.ErrorContains(t, err, text, raw)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	_, err := open(t, "gcppubsub://shop?endpoint=http://h.test&allow_plaintext")
	require.NoError(t, err)
}

// TestEmulatorOfTheEnvironment: it needs no endpoint and no credentials, and must be on this
// machine.
func TestEmulatorOfTheEnvironment(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "localhost:8085")
	_, err := open(t, "gcppubsub://shop")
	require.NoError(t, err)
	t.Setenv("PUBSUB_EMULATOR_HOST", "pubsub.test:8085")
	_, err = open(t, "gcppubsub://shop")
	require.ErrorContains(t, err, "an emulator on another machine")
	_, err = open(t, "gcppubsub://shop?allow_plaintext")
	require.NoError(t, err)
	t.Setenv("PUBSUB_EMULATOR_HOST", "localhost:8085/path")
	_, err = open(t, "gcppubsub://shop")
	require.ErrorContains(t, err, "more than a host and a port")
}

// TestNoCredentials says what to do, and shows no path.
func TestNoCredentials(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/s3cret.json")
	_, err := open(t, "gcppubsub://shop")
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err))
	require.ErrorContains(t, err, "application default credentials")
	assert.NotContains(t, err.Error(), "s3cret")
}
