package interop_test

import (
	"context"
	"crypto/rand"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Metadata.AllowAutoTopicCreation = false
	return c
}

// sdkSend publishes an event with the SDK.
func sdkSend(ctx context.Context, t *testing.T, tp topic, e event.Event) {
	t.Helper()
	sender, err := kafka_sarama.NewSender(tp.seeds, saramaConfig(), tp.name)
	require.NoError(t, err)
	defer func() { assert.NoError(t, sender.Close(ctx)) }()
	require.NoError(t, sender.Send(ctx, (*binding.EventMessage)(&e)))
}

// sdkReceive reads n messages with the SDK.
func sdkReceive(t *testing.T, tp topic, n int) (events []*event.Event, errs []error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	consumer, err := kafka_sarama.NewConsumer(tp.seeds, saramaConfig(), "group-"+rand.Text(), tp.name)
	require.NoError(t, err)
	inbound, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- consumer.OpenInbound(inbound) }()
	for range n {
		m, err := consumer.Receive(ctx)
		require.NoError(t, err)
		e, err := binding.ToEvent(ctx, m)
		require.NoError(t, m.Finish(nil))
		events, errs = append(events, e), append(errs, err)
	}
	stop()
	require.NoError(t, <-ended)
	return events, errs
}

// TestSDKReadsOurEvents lists what its reader makes of our records. All that is not listed as a
// change arrives as it was.
//
// In both modes it writes source and dataschema anew by net/url (the scheme in lower case, an empty
// fragment dropped). In binary mode it also adds three extensions that were not sent, every
// extension is a string, since headers have no types, and empty data is none. In structured mode
// Boolean and Integer keep their type.
func TestSDKReadsOurEvents(t *testing.T) {
	t.Parallel()
	extensions := map[string]any{
		"abool": true, "bint": int32(-5), "cbinary": []byte{0xff, 0}, "duri": leat.URI("HTTP://A/%7e"), "euriref": leat.URIRef("../a?b"),
		"ftime": someTime(), "gstring": "x", "hempty": "",
	}
	events := []leat.Event{
		newEvent(t, leat.EventOptions{ID: "0", Source: "HTTP://EX/%7e#", Time: someTime()}),
		newEvent(t, leat.EventOptions{ID: "1", Source: "/s", Time: someTime(), Data: []byte{}}),
		newEvent(t, leat.EventOptions{
			ID: "2", Source: "/s", Time: someTime(), Subject: "Köln %20 日本🚀", DataSchema: "urn:x", Key: "k", Extensions: extensions,
			DataContentType: "application/json", Data: []byte(`{"a": 1}`),
		}),
		newEvent(t, leat.EventOptions{ID: "3", Source: "/s", Time: someTime(), DataContentType: "a/b", Data: []byte("\x00\xff")}),
	}
	strings := map[string]any{
		"abool": "true", "bint": "-5", "cbinary": "/wA=", "duri": "HTTP://A/%7e", "euriref": "../a?b",
		"ftime": "2026-01-02T03:04:05.678901234+02:00", "gstring": "x", "hempty": "", "partitionkey": "k",
	}
	for _, structured := range []bool{false, true} {
		tp := newTopic(t, 1)
		tp.publish(t, kafka.Options{Structured: structured}, events...)
		got, errs := sdkReceive(t, tp, len(events))
		for i, e := range got {
			require.NoError(t, errs[i])
			require.NoError(t, e.Validate())
			want := map[string]any{}
			if i == 2 {
				maps.Copy(want, strings)
			}
			if structured && i == 2 {
				want["abool"], want["bint"] = true, int32(-5)
			}
			if !structured {
				want["kafkaoffset"], want["kafkapartition"], want["kafkatopic"] = strconv.Itoa(i), "0", tp.name
			}
			assert.Equal(t, want, withoutNil(e.Extensions()), "event %d, structured %v", i, structured)
			source, data := events[i].Source(), events[i].Data()
			if i == 0 {
				source = "http://EX/%7e"
			}
			if i == 1 && !structured {
				data = nil
			}
			assert.Equal(t, source, e.Source())
			assert.Equal(t, data, e.Data(), "event %d, structured %v", i, structured)
			assert.Equal(t, events[i].ID(), e.ID())
			assert.Equal(t, events[i].Type(), e.Type())
			assert.Equal(t, events[i].Subject(), e.Subject())
			assert.Equal(t, events[i].DataSchema(), e.DataSchema())
			assert.Equal(t, events[i].DataContentType(), e.DataContentType())
			assert.Equal(t, events[i].TimeString(), e.Time().Format(time.RFC3339Nano))
		}
	}
}

func withoutNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// TestSDKRefusesLeapSeconds: an event that came to us with one is valid, and passed on as it was.
// So is a time in lower case.
func TestSDKRefusesLeapSeconds(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	var events []leat.Event
	for _, text := range []string{"2016-12-31T23:59:60Z", "2026-01-02t03:04:05z"} {
		e, err := new(leat.Decoder).Decode([]leat.Header{
			{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte("1")}, {Name: "source", Value: []byte("/s")},
			{Name: "type", Value: []byte("t")}, {Name: "time", Value: []byte(text)},
		}, nil)
		require.NoError(t, err)
		events = append(events, e)
	}
	tp.publish(t, kafka.Options{}, events...)
	_, errs := sdkReceive(t, tp, len(events))
	for i, err := range errs {
		require.Error(t, err, "the SDK reads %s now", events[i].TimeString())
	}
	for i, d := range tp.receive(t, kafka.Options{}, len(events)) {
		require.Nil(t, d.Malformed)
		assert.True(t, d.Event.Equal(events[i]))
	}
}

// TestWeReadEventsOfTheSDK: what its writer changes before it is on the wire is not for the reader
// to undo. It writes the time in UTC, and in binary mode those among the extensions too, the scheme
// of a URI in lower case, and in binary mode empty data as a null value, which Kafka takes for a
// tombstone.
func TestWeReadEventsOfTheSDK(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	base := event.New()
	base.SetID("1")
	base.SetSource("HTTP://EX/%7e#")
	base.SetType("t")
	base.SetTime(someTime())
	base.SetSubject("Köln %20 日本🚀")
	base.SetDataSchema("urn:x")
	for name, value := range map[string]any{
		"abool": true, "bint": int32(-5), "cbinary": []byte{0xff, 0}, "duri": types.ParseURI("HTTP://A/%7e"),
		"euriref": types.ParseURIRef("../a?b"), "ftime": someTime(), "gstring": "x", "hempty": "", "partitionkey": "k",
	} {
		base.SetExtension(name, value)
	}
	data := []struct {
		contentType string
		data        []byte
	}{{"", nil}, {"text/plain", []byte{}}, {"application/json", []byte(`{"a": 1}`)}, {"a/b", []byte("\x00\xff")}}
	for _, c := range data {
		e := base.Clone()
		if c.data != nil {
			require.NoError(t, e.SetData(c.contentType, c.data))
		}
		sdkSend(binding.WithForceBinary(t.Context()), t, tp, e)
		sdkSend(binding.WithForceStructured(t.Context()), t, tp, e)
	}
	for i, r := range tp.records(t, 2*len(data)) {
		assert.Equal(t, "k", string(r.Key), "record %d: the SDK's key, as ours, is the partitionkey", i)
	}
	for i, d := range tp.receive(t, kafka.Options{}, 2*len(data)) {
		if d.Malformed != nil {
			t.Fatalf("record %d: %v", i, d.Malformed.Reason)
		}
		c, structured := data[i/2], i%2 == 1
		want := map[string]string{
			"specversion": "1.0", "id": "1", "source": "http://EX/%7e", "type": "t", "time": "2026-01-02T01:04:05.678901234Z",
			"subject": "Köln %20 日本🚀", "dataschema": "urn:x", "abool": "true", "bint": "-5", "cbinary": "/wA=", "duri": "http://A/%7e",
			"euriref": "../a?b", "ftime": "2026-01-02T01:04:05.678901234Z", "gstring": "x", "hempty": "", "partitionkey": "k",
		}
		if structured {
			want["ftime"] = "2026-01-02T03:04:05.678901234+02:00"
		}
		if c.contentType != "" {
			want["datacontenttype"] = c.contentType
		}
		assert.Equal(t, want, attributes(d.Event), "record %d", i)
		wantData := c.data
		if len(wantData) == 0 && !structured {
			wantData = nil
		}
		assert.Equal(t, wantData, d.Event.Data(), "record %d", i)
		wantTypes := []any{"true", "-5"}
		if structured {
			wantTypes = []any{true, int32(-5)}
		}
		for j, name := range []string{"abool", "bint"} {
			value, _ := d.Event.Extension(name)
			assert.Equal(t, wantTypes[j], value, "record %d", i)
		}
	}
}

// TestSourceThatIsNoURI: the SDK writes characters into a URI-reference that RFC 3986 does not
// allow there. We read only valid events.
func TestSourceThatIsNoURI(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	e := event.New()
	e.SetID("1")
	e.SetSource("/s?ü")
	e.SetType("t")
	sdkSend(t.Context(), t, tp, e)
	d := tp.receive(t, kafka.Options{}, 1)[0]
	require.NotNil(t, d.Malformed)
	assert.ErrorContains(t, d.Malformed.Reason, `"source"`)
}
