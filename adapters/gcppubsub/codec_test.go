package gcppubsub_test

import (
	"bytes"
	"strings"
	"testing"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func event(t *testing.T, o *leat.EventOptions) leat.Event {
	t.Helper()
	o.Source, o.ID = "/orders", "e-1"
	e, err := leat.NewEvent("order.placed", o)
	require.NoError(t, err)
	return e
}

// TestEncode: an event is in binary mode, and in structured mode where an attribute is one byte
// over Pub/Sub's limit.
func TestEncode(t *testing.T) {
	t.Parallel()
	trace := leat.NewTraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b")
	for length, structured := range map[int]bool{5: false, 1024: false, 1025: true} {
		e := event(t, &leat.EventOptions{
			Key: "k", Subject: strings.Repeat("s", length), Data: []byte("data"), DataContentType: "text/plain",
		})
		m, err := gcppubsub.Encode(e, trace)
		require.NoError(t, err)
		assert.Equal(t, "k", m.GetOrderingKey())
		assert.Equal(t, trace.Parent, m.GetAttributes()["traceparent"])
		assert.Equal(t, "a=b", m.GetAttributes()["tracestate"])
		if structured {
			assert.Contains(t, m.GetAttributes()["content-type"], "application/cloudevents+json")
			assert.NotContains(t, m.GetAttributes(), "ce-specversion", "it is not in binary mode")
			assert.NotContains(t, m.GetAttributes(), "ce-subject", "it is too long")
			assert.Equal(t, "order.placed", m.GetAttributes()["ce-type"], "filters see it")
		} else {
			assert.Equal(t, "text/plain", m.GetAttributes()["content-type"])
			assert.Equal(t, "data", string(m.GetData()))
		}
		assert.Equal(t, "e-1", m.GetAttributes()["ce-id"])
		d := gcppubsub.Decode(&pb.ReceivedMessage{Message: m})
		require.Nil(t, d.Malformed)
		want, err := e.AppendJSON(nil)
		require.NoError(t, err)
		is, err := d.Event.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(is))
		assert.Equal(t, trace, d.Trace)
	}
}

// TestEmptyData is not the same as no data.
func TestEmptyData(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{nil, {}} {
		e := event(t, &leat.EventOptions{Data: data})
		m, err := gcppubsub.Encode(e, nil)
		require.NoError(t, err)
		assert.Equal(t, e.HasData(), gcppubsub.Decode(&pb.ReceivedMessage{Message: m}).Event.HasData())
	}
}

// TestLongKey: a key that Pub/Sub does not take is an ordering key by its hash, and stays the
// event's.
func TestLongKey(t *testing.T) {
	t.Parallel()
	for length, hashed := range map[int]bool{1024: false, 1025: true} {
		e := event(t, &leat.EventOptions{Key: strings.Repeat("k", length)})
		m, err := gcppubsub.Encode(e, nil)
		require.NoError(t, err)
		assert.Equal(t, hashed, len(m.GetOrderingKey()) == 64)
		assert.Equal(t, e.Key(), gcppubsub.Decode(&pb.ReceivedMessage{Message: m}).Event.Key())
	}
}

// TestDecode reads what others write.
func TestDecode(t *testing.T) {
	t.Parallel()
	binary := func(more ...string) map[string]string {
		m := map[string]string{
			"ce-specversion": "1.0", "ce-id": "1", "ce-source": "//storage.googleapis.com/b", "ce-type": "google.cloud.storage.object.v1.finalized",
		}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for name, m := range map[string]*pb.PubsubMessage{
		"content-type":       {Data: []byte("{}"), Attributes: binary("content-type", "application/json")},
		"Content-Type":       {Data: []byte("{}"), Attributes: binary("Content-Type", "application/json")},
		"ce-datacontenttype": {Data: []byte("{}"), Attributes: binary("ce-datacontenttype", "application/json")},
		"all three": {Data: []byte("{}"), Attributes: binary(
			"content-type", "application/json", "Content-Type", "application/json", "ce-datacontenttype", "application/json")},
	} {
		d := gcppubsub.Decode(&pb.ReceivedMessage{Message: m})
		require.Nil(t, d.Malformed, name)
		assert.Equal(t, "application/json", d.Event.DataContentType(), name)
		assert.Equal(t, "google.cloud.storage.object.v1.finalized", d.Event.Type(), name)
	}
	for name, m := range map[string]*pb.PubsubMessage{
		"neither data nor attributes": {},
		"plain":                       {Data: []byte("hello")},
		"types that differ":           {Attributes: binary("content-type", "a/b", "ce-datacontenttype", "c/d")},
	} {
		assert.NotNil(t, gcppubsub.Decode(&pb.ReceivedMessage{Message: m}).Malformed, name)
	}
	d := gcppubsub.Decode(&pb.ReceivedMessage{DeliveryAttempt: 3, Message: &pb.PubsubMessage{
		MessageId: "7", OrderingKey: "key", Attributes: binary(),
	}})
	assert.Equal(t, "key", d.Key)
	assert.Equal(t, "7", d.Position.ID)
	assert.Equal(t, 3, d.Deliveries)
}

// TestDecodeAnyWire: fields that are not known, of any kind, are passed over, an attribute without
// a value is empty, and what is cut off is an error.
func TestDecodeAnyWire(t *testing.T) {
	t.Parallel()
	inner, err := proto.Marshal(&pb.PubsubMessage{MessageId: "7", Data: []byte("d"), Attributes: map[string]string{
		"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t",
	}})
	require.NoError(t, err)
	const unknown = 1000
	others := func(raw []byte) []byte {
		raw = protowire.AppendVarint(protowire.AppendTag(raw, unknown, protowire.VarintType), 1)
		raw = protowire.AppendFixed32(protowire.AppendTag(raw, unknown, protowire.Fixed32Type), 1)
		raw = protowire.AppendFixed64(protowire.AppendTag(raw, unknown, protowire.Fixed64Type), 1)
		return protowire.AppendBytes(protowire.AppendTag(raw, unknown, protowire.BytesType), []byte("x"))
	}
	entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "ce-subject")
	inner = protowire.AppendBytes(protowire.AppendTag(others(inner), 2, protowire.BytesType), entry)
	raw := protowire.AppendBytes(protowire.AppendTag(others(nil), 2, protowire.BytesType), inner)
	d, err := gcppubsub.DecodeRaw(raw)
	require.NoError(t, err)
	var generated pb.ReceivedMessage
	require.NoError(t, proto.Unmarshal(raw, &generated))
	assert.Equal(t, gcppubsub.Decode(&generated), d)
	assert.Equal(t, "7", d.Position.ID)
	wrong := 0
	for i := range raw {
		if _, err := gcppubsub.DecodeRaw(raw[:i]); err != nil {
			wrong++
		}
	}
	assert.Greater(t, wrong, len(inner))
	_, err = gcppubsub.DecodeRaw(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "\xff"))
	require.ErrorContains(t, err, "ack id")
}

// TestDecodeKeepsNothing of the response, whose memory serves the next one.
func TestDecodeKeepsNothing(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, attributes := range []map[string]string{
		{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "traceparent": parent},
		{"not": "an event"},
	} {
		raw, err := proto.Marshal(&pb.ReceivedMessage{AckId: "a", Message: &pb.PubsubMessage{
			MessageId: "7", OrderingKey: "k", Data: []byte("d"), Attributes: attributes,
		}})
		require.NoError(t, err)
		want, err := gcppubsub.DecodeRaw(bytes.Clone(raw))
		require.NoError(t, err)
		got, err := gcppubsub.DecodeRaw(raw)
		require.NoError(t, err)
		for i := range raw {
			raw[i] = 'x'
		}
		assert.Equal(t, want, got)
	}
}
