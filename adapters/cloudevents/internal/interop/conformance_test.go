package interop_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The scenarios of github.com/cloudevents/conformance, in words of our own:
// features/kafka-protocol-binding.feature at commit 6366de11 and
// features/http-protocol-binding.feature at commit dcd8f605, by the CloudEvents authors under the
// Apache License 2.0. Each is a message and the attributes and data that a reader must find in it.
// Leat has no HTTP binding: there the SDK receives, and the bridge sends on.

type scenario struct {
	name        string
	structured  bool
	contentType string // of the message
	mediaType   string // that the event must have
}

var kafkaScenarios = []scenario{
	{"Binary content mode", false, "application/json", "application/json"},
	{"Structured content mode (application/cloudevents+json)", true, "application/cloudevents+json", "application/json"},
	{
		"Structured content mode (application/cloudevents+json; charset=utf-8)", true, "application/cloudevents+json; charset=utf-8",
		"application/json",
	},
}

var httpScenarios = []scenario{
	{"Binary content mode (application/json)", false, "application/json", "application/json"},
	{"Binary content mode (application/json; charset=utf-8)", false, "application/json; charset=utf-8", "application/json; charset=utf-8"},
	kafkaScenarios[1], kafkaScenarios[2],
}

// context returns the attributes of every scenario, with another beginning of their names, but for
// the content type.
func (s *scenario) context(prefix string) map[string]string {
	return map[string]string{
		prefix + "specversion": "1.0", prefix + "id": "1234-1234-1234", prefix + "type": "com.example.someevent",
		prefix + "source": "/mycontext/subcontext", prefix + "time": "2018-04-05T03:56:24Z",
	}
}

const scenarioData = `{"message": "Hello World!"}`

// message returns the headers and the payload.
func (s *scenario) message(prefix string) (headers map[string]string, payload string) {
	headers, payload = s.context(prefix), scenarioData
	if s.structured {
		headers = map[string]string{}
		payload = "{\n"
		for name, value := range s.context("") {
			payload += `  "` + name + `": "` + value + "\",\n"
		}
		payload += `  "datacontenttype": "` + s.mediaType + "\",\n  \"data\": " + scenarioData + "\n}"
	}
	headers["content-type"] = s.contentType
	return headers, payload
}

// check compares an event with what the scenario says.
func (s *scenario) check(t *testing.T, e leat.Event) {
	t.Helper()
	want := s.context("")
	want["datacontenttype"] = s.mediaType
	assert.Equal(t, want, maps.Collect(e.Attributes()))
	assert.JSONEq(t, scenarioData, e.DataString())
}

func TestConformanceKafkaProtocolBinding(t *testing.T) {
	t.Parallel()
	for _, s := range kafkaScenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			headers, payload := s.message("ce_")
			r := &kgo.Record{Value: []byte(payload)}
			for name, value := range headers {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
			}
			e, err := kafka.DecodeRecord(r)
			require.NoError(t, err)
			s.check(t, e)

			theirs, crash, err := sdkRecord(r.Headers, r.Value)
			require.NoError(t, err)
			require.Nil(t, crash)
			if !s.structured { // where the SDK adds extensions that were not sent
				for _, name := range []string{"kafkaoffset", "kafkapartition", "kafkatopic"} {
					theirs.SetExtension(name, nil)
				}
			}
			e, err = cloudevents.FromSDK(*theirs)
			require.NoError(t, err)
			s.check(t, e)

			r, err = kafka.EncodeRecord(e)
			require.NoError(t, err)
			e, err = kafka.DecodeRecord(r)
			require.NoError(t, err)
			s.check(t, e)
		})
	}
}

func TestConformanceHTTPProtocolBinding(t *testing.T) {
	t.Parallel()
	for _, s := range httpScenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := memory.New(nil)
			defer func() { assert.NoError(t, b.Close()) }()
			sub := leat.Subscription{Topic: "events", Group: "g"}
			require.NoError(t, leat.Declare(t.Context(), b, sub))
			stream, err := b.Subscribe(t.Context(), sub.WithDefaults())
			require.NoError(t, err)
			defer func() { assert.NoError(t, stream.Close(context.Background())) }()
			p, err := cloudevents.New(b, &cloudevents.Options{Topic: "events"})
			require.NoError(t, err)

			headers, payload := s.message("ce-")
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/someresource", strings.NewReader(payload))
			require.NoError(t, err)
			for name, value := range headers {
				request.Header.Set(name, value)
			}
			request.Body = io.NopCloser(request.Body)
			require.NoError(t, p.Send(t.Context(), cehttp.NewMessageFromHttpRequest(request)))
			into := make([]leat.Delivery, 1)
			_, err = stream.Receive(t.Context(), into)
			require.NoError(t, err)
			s.check(t, into[0].Event)
		})
	}
}
