package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func open(t *testing.T, raw string) (*awssnssqs.Options, error) {
	t.Helper()
	var o awssnssqs.Options
	b, err := leat.Openers{"awssnssqs": awssnssqs.OpenWith(func(read *awssnssqs.Options) { o = *read })}.Open(t.Context(), raw)
	if err == nil {
		require.NoError(t, b.Close())
	}
	return &o, err
}

func TestURL(t *testing.T) {
	o, err := open(t, "awssnssqs://?region=eu-central-1&endpoint=http%3A%2F%2F127.0.0.1%3A4566&mode=sqs&standard&fair_queues=true"+
		"&wait=1s&visibility=1m&pollers=3&lanes=4&provision=verify&kms_key=alias%2Fa&retention=1h&buffer=5&buffer_bytes=6"+
		"&delivery_timeout=1m&max_message_bytes=65536&request_timeout=1s&dial_timeout=2s&close_timeout=3s&allow_plaintext=false")
	require.NoError(t, err)
	assert.Equal(t, awssnssqs.Options{
		Region: "eu-central-1", Endpoint: "http://127.0.0.1:4566", Mode: awssnssqs.ModeSQS, Standard: true, FairQueues: true,
		Wait: time.Second, Visibility: time.Minute, Pollers: 3, Lanes: 4, Provision: awssnssqs.ProvisionVerify, KMSKey: "alias/a",
		Retention: time.Hour, Buffer: 5, BufferBytes: 6, DeliveryTimeout: time.Minute, MaxMessageBytes: 64 << 10,
		RequestTimeout: time.Second, DialTimeout: 2 * time.Second, CloseTimeout: 3 * time.Second,
	}, *o)
}

func TestURLRefuses(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	for raw, text := range map[string]string{
		"awssnssqs://":                                  "no region",
		"awssnssqs://AKIA0:s3cret@?region=r":            "credentials come from the SDK's default chain",
		"awssnssqs://host?region=r":                     "has no host",
		"awssnssqs:///path?region=r":                    "leave the path out",
		"awssnssqs://?region=r&secret_key=s3cret":       "parameter number 2 is unknown",
		"awssnssqs://?region=r&wait=1500ms":             "whole seconds",
		"awssnssqs://?region=r&wait=20s&visibility=30s": "more than half of Visibility",
		"awssnssqs://?region=r&visibility=9s":           "more than half of Visibility",
		"awssnssqs://?region=r&wait=21s":                "parameter wait is wrong",
		"awssnssqs://?region=r&mode=x":                  "parameter mode is wrong",
		"awssnssqs://?region=r&delivery_timeout=5m":     "parameter delivery_timeout is wrong",
		"awssnssqs://?region=r&endpoint=http://h.test":  "allow_plaintext=true",
		"awssnssqs://?region=r&endpoint=127.0.0.1:1":    "Options.Endpoint is not a URL",
	} {
		_, err := open(t, raw)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), raw)
		require.ErrorContains(t, err, text, raw)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	_, err := open(t, "awssnssqs://?region=r&endpoint=http://h.test&allow_plaintext")
	require.NoError(t, err)
}
