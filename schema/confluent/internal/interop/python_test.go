package interop_test

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/avro"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/requirements.txt
var requirements string

// python is a process with Confluent's client.
type python struct {
	to   *json.Encoder
	from *bufio.Reader
}

func startPython(t *testing.T) *python {
	t.Helper()
	program := brokertest.Python(t, "Confluent's client for Python", "confluent-kafka-2.16.1", requirements)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "testdata/peer.py")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var said strings.Builder
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		assert.NoError(t, cmd.Wait(), "%s", said.String())
	})
	return &python{json.NewEncoder(in), bufio.NewReader(out)}
}

// request asks: to write a value into a topic, or to read those that are there.
type request struct {
	Do      string         `json:"do"`
	URL     string         `json:"url"`
	Brokers string         `json:"brokers"`
	Topic   string         `json:"topic"`
	Kind    string         `json:"kind"`
	Schema  string         `json:"schema"`
	Header  bool           `json:"header"`
	Value   map[string]any `json:"value,omitempty"`
	Count   int            `json:"count"`
	Lookup  bool           `json:"lookup"`
}

type reply struct {
	Values []map[string]any `json:"values"`
	Error  string           `json:"error"`
}

func (p *python) ask(t *testing.T, r request) (answer reply) {
	t.Helper()
	require.NoError(t, p.to.Encode(r))
	line, err := p.from.ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &answer), "%s", line)
	return answer
}

// served returns the registry of this repository, behind what Confluent's registry does for the
// clients of Protobuf: it gives them a descriptor where they ask for it.
func served(t *testing.T) registry {
	t.Helper()
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{avro.Format{}, jsonschema.Format{}, protobuf.Format{}}})
	require.NoError(t, err)
	own := schema.Handler(m, &schema.HandlerOptions{Writable: true})
	const descriptor = "CgtvcmRlci5wcm90bxIEc2hvcCIiCgVPcmRlchIKCgJpZBgBIAEoCRINCgV0b3RhbBgCIAEoBWIGcHJvdG8z" // of protoOrder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("format") != "serialized" {
			own.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		own.ServeHTTP(answer, r)
		text, err := json.Marshal(protoOrder)
		assert.NoError(t, err)
		w.WriteHeader(answer.Code)
		_, _ = io.WriteString(w, strings.Replace(answer.Body.String(), string(text), `"`+descriptor+`"`, 1))
	}))
	t.Cleanup(server.Close)
	return open(t, server.URL, confluent.Options{})
}

// languages have a value each. With the header, Python's client does not read Avro of less than 6
// bytes, since it expects a prefix.
var languages = []struct{ format, text, data string }{
	{"JSON", jsonOrder, `{"id":"o-100","total":7}`},
	{"AVRO", avroOrder, "\no-100\x0e"},
	{"PROTOBUF", protoOrder, "\n\x05o-100\x10\x07"},
}

func value() map[string]any { return map[string]any{"id": "o-100", "total": 7.0} }

// TestPython: Python and Leat write the same into a topic, and both read all of it.
func TestPython(t *testing.T) {
	seeds := brokertest.Kafka(t)
	peer := startPython(t)
	apicurio, own := shared(t), served(t)
	for _, l := range languages {
		for _, c := range []struct {
			name   string
			r      registry
			header bool
		}{{"prefix, Apicurio", apicurio, false}, {"prefix, Handler", own, false}, {"header, Handler", own, true}} {
			t.Run(l.format+", "+c.name, func(t *testing.T) {
				topic := brokertest.Name(t)
				pin := c.r.register(t, topic+"-value", schema.Definition{Format: l.format, Text: l.text}).Ref
				ask := request{
					URL: c.r.url, Brokers: strings.Join(seeds, ","), Topic: topic, Kind: l.format, Schema: l.text, Header: c.header,
					Value: value(), Lookup: c.r != apicurio,
				}
				ours := newPeer(t, seeds, topic, c.r, pin, l.format, c.header)
				n := 0
				// Apicurio gives Python no descriptor, without which it writes no Protobuf.
				if ask.Lookup || l.format != "PROTOBUF" {
					ask.Do = "write"
					require.Empty(t, peer.ask(t, ask).Error)
					n++
				}
				require.NoError(t, ours.producer.Publish(t.Context(), topic, typed(t, l.format, l.data)))
				n++
				ours.service.await(t, n)
				for _, e := range ours.service.events {
					assert.Equal(t, l.data, e.DataString())
					assert.Equal(t, base+"/"+topic+"-value/versions/1", e.DataSchema())
				}
				ask.Do, ask.Count = "read", n
				answer := peer.ask(t, ask)
				require.Empty(t, answer.Error)
				require.Len(t, answer.Values, n)
				for _, got := range answer.Values {
					assert.Equal(t, value(), got)
				}
			})
		}
	}
}

// peer is a service with Leat that speaks as Python does.
type peer struct {
	producer *leat.Producer
	service  *service
}

func newPeer(t *testing.T, seeds []string, topic string, r registry, pin schema.Ref, format string, header bool) peer {
	t.Helper()
	e := newEnforcer(t, r, pin, schema.EnforcerOptions{WritePrefix: !header, ReadPrefix: !header})
	require.NoError(t, e.Warm(t.Context()))
	o := &kafka.Options{
		Hosts: seeds, ReadHeaders: e.ReadHeaders,
		Mapping: foreign.Plain(&foreign.PlainOptions{Type: "order.placed", DataContentType: "application/" + strings.ToLower(format)}),
	}
	if header {
		o.WriteHeaders = e.WriteHeaders
	}
	broker, err := kafka.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, broker.Close()) })
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{e.Publish()}})
	return peer{producer, consume(t, broker, topic, "leat", e)}
}

// Apicurio gives no GUIDs: who asks for the header is told so, and does not write without it.
func TestNoHeaderWithApicurio(t *testing.T) {
	r := shared(t)
	subject := brokertest.Name(t)
	pin := r.register(t, subject, schema.Definition{Format: "JSON", Text: jsonOrder}).Ref
	e := newEnforcer(t, r, pin, schema.EnforcerOptions{})
	require.NoError(t, e.Warm(t.Context()))
	_, err := e.WriteHeaders(event(t, languages[0].data))
	hasCode(t, err, leat.CodeUnsupported, "gives no GUID")
}
