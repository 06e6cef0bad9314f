package kafka_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newEvent(t *testing.T, key string, data []byte) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{
		ID: "1", Source: "/shop", Subject: "orders/4711", Time: time.Date(2026, 3, 1, 12, 30, 15, 0, time.UTC),
		DataContentType: "text/plain", Key: key, Data: data,
		Extensions: map[string]any{"dataregion": "eu"},
	})
	require.NoError(t, err)
	return e
}

func TestEncodeRecord(t *testing.T) {
	r, err := kafka.EncodeRecord(newEvent(t, "customer-1", []byte("hello")))
	require.NoError(t, err)
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	assert.Equal(t, map[string]string{
		"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/shop", "ce_type": "com.example.order.placed.v1", "ce_subject": "orders/4711",
		"ce_time": "2026-03-01T12:30:15Z", "ce_partitionkey": "customer-1", "ce_dataregion": "eu", "content-type": "text/plain",
	}, headers)
	assert.Equal(t, "customer-1", string(r.Key))
	assert.Equal(t, "hello", string(r.Value))
	assert.Empty(t, r.Topic)
}

func TestEncodeRecordWithoutKeyAndData(t *testing.T) {
	r, err := kafka.EncodeRecord(newEvent(t, "", nil))
	require.NoError(t, err)
	assert.Nil(t, r.Key, "no key is a null key")
	assert.Nil(t, r.Value, "no data is a null value")
	r, err = kafka.EncodeRecord(newEvent(t, "", []byte{}))
	require.NoError(t, err)
	assert.NotNil(t, r.Value, "empty data is an empty value")
}

func TestEncodeRecordRefusesTheZeroEvent(t *testing.T) {
	_, err := kafka.EncodeRecord(leat.Event{})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

func TestDecodeRecord(t *testing.T) {
	e := newEvent(t, "customer-1", []byte("hello"))
	r, err := kafka.EncodeRecord(e)
	require.NoError(t, err)
	got, err := kafka.DecodeRecord(r)
	require.NoError(t, err)
	assert.True(t, got.Equal(e))

	for _, r := range []*kgo.Record{nil, {}, {Headers: r.Headers[1:]}, {Headers: append(r.Headers, r.Headers[0])}} {
		_, err := kafka.DecodeRecord(r)
		var own *leat.Error
		require.ErrorAs(t, err, &own)
		assert.Equal(t, "decode", own.Op)
		assert.Equal(t, leat.CodeInvalid, own.Code)
	}
}

func TestEncodeRecordAllocates3Times(t *testing.T) {
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{Source: "/shop", Subject: "orders/4711",
		DataContentType: "text/plain", Key: "customer-1", Data: []byte(strings.Repeat("x", 1_024))})
	require.NoError(t, err)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = kafka.EncodeRecord(e) }), 3.0)
}
