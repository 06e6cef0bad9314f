package cloudevents_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/binding/transformer"
	cecontext "github.com/cloudevents/sdk-go/v2/context"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowBroker confirms what is published when it is told to.
type slowBroker struct {
	*memory.Broker

	taken  chan leat.Event
	answer chan error
}

func (b *slowBroker) Publish(_ context.Context, _ string, events []leat.Event, done func(i int, err error)) {
	for i, e := range events {
		b.taken <- e
		go func() { done(i, <-b.answer) }()
	}
}

func newSlowBroker(t *testing.T) *slowBroker {
	t.Helper()
	b := &slowBroker{memory.New(nil), make(chan leat.Event, 1), make(chan error)}
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// TestEventThatIsChangedInFlight: what the broker has is what was sent.
func TestEventThatIsChangedInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBroker(t)
		p, err := cloudevents.New(b, &cloudevents.Options{Topic: "orders"})
		require.NoError(t, err)
		e := plainEvent("1")
		e.SetExtension("b", []byte("abc"))
		require.NoError(t, e.SetData("text/plain", []byte("abc")))
		want, err := cloudevents.FromSDK(e)
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- p.Send(t.Context(), binding.ToMessage(&e)) }()
		taken := <-b.taken
		copy(e.DataEncoded, "xyz")
		copy(e.Extensions()["b"].([]byte), "xyz")
		e.SetID("other")
		e.SetExtension("partitionkey", "other")
		assert.True(t, taken.Equal(want))
		b.answer <- nil
		require.NoError(t, <-ended)
	})
}

// TestSendOutcomes: what the broker says is a NACK of the SDK with the code of Leat.
func TestSendOutcomes(t *testing.T) {
	t.Parallel()
	for _, code := range []leat.Code{leat.CodeTooLarge, leat.CodeUnknown, leat.CodeUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			b := newSlowBroker(t)
			p, err := cloudevents.New(b, &cloudevents.Options{Topic: "orders"})
			require.NoError(t, err)
			c, err := sdk.NewClient(p)
			require.NoError(t, err)
			go func() {
				<-b.taken
				b.answer <- &leat.Error{Op: "publish", Code: code}
			}()
			err = c.Send(t.Context(), plainEvent("1"))
			assert.True(t, sdk.IsNACK(err))
			assert.False(t, sdk.IsUndelivered(err))
			assert.Equal(t, code, leat.CodeOf(err))
			var failed *leat.PublishError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, "1", failed.Events()[0].ID())
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBroker(t)
		p, err := cloudevents.New(b, &cloudevents.Options{Topic: "orders"})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := plainEvent("1")
		err = p.Send(ctx, binding.ToMessage(&e))
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), "no answer in time: %v", err)
		err = p.Close(ctx)
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), "%v", err)
		b.answer <- nil
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestTopicOfASend(t *testing.T) {
	t.Parallel()
	b := memory.New(nil)
	defer func() { assert.NoError(t, b.Close()) }()
	for _, topic := range []string{"one", "two"} {
		require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: topic, Group: "g"}))
	}
	depth := func(topic string) int {
		n, _, err := b.Depth(topic, "g")
		require.NoError(t, err)
		return n
	}
	p, err := cloudevents.New(b, &cloudevents.Options{Topic: "one"})
	require.NoError(t, err)
	c, err := sdk.NewClient(p)
	require.NoError(t, err)
	require.NoError(t, c.Send(t.Context(), plainEvent("1")))
	require.NoError(t, c.Send(cecontext.WithTopic(t.Context(), "two"), plainEvent("2")))
	assert.Equal(t, 1, depth("one"))
	assert.Equal(t, 1, depth("two"))

	p, err = cloudevents.New(b, nil)
	require.NoError(t, err)
	e := plainEvent("1")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(p.Send(t.Context(), binding.ToMessage(&e))))
}

// otherMessage is a message of another protocol.
type otherMessage struct {
	encoding  binding.Encoding
	text      string
	finish    error
	finished  []error
	panicking bool
}

func (m *otherMessage) ReadEncoding() binding.Encoding { return m.encoding }

func (m *otherMessage) ReadStructured(ctx context.Context, w binding.StructuredWriter) error {
	if m.panicking {
		panic("in the message")
	}
	return w.SetStructuredEvent(ctx, format.JSON, strings.NewReader(m.text))
}

func (m *otherMessage) ReadBinary(context.Context, binding.BinaryWriter) error {
	return binding.ErrNotBinary
}

func (m *otherMessage) Finish(err error) error {
	m.finished = append(m.finished, err)
	return m.finish
}

// TestMessagesOfOtherProtocols: they are finished once, with the outcome, and what is bad about
// them is a typed error, not a panic.
func TestMessagesOfOtherProtocols(t *testing.T) {
	t.Parallel()
	b := memory.New(nil)
	defer func() { assert.NoError(t, b.Close()) }()
	p, err := cloudevents.New(b, &cloudevents.Options{Topic: "orders"})
	require.NoError(t, err)

	const good = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1}`
	m := &otherMessage{encoding: binding.EncodingStructured, text: good}
	require.NoError(t, p.Send(t.Context(), m))
	assert.Equal(t, []error{nil}, m.finished)

	m = &otherMessage{encoding: binding.EncodingStructured, text: good, finish: errors.New("the ack was lost")}
	require.ErrorIs(t, p.Send(t.Context(), m), m.finish)

	for name, m := range map[string]*otherMessage{
		"unknown":      {encoding: binding.EncodingUnknown},
		"batch":        {encoding: binding.EncodingBatch, text: "[" + good + "]"},
		"no JSON":      {encoding: binding.EncodingStructured, text: "secret"},
		"crashing":     {encoding: binding.EncodingStructured, text: `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":1}`},
		"no event":     {encoding: binding.EncodingStructured, text: `{"specversion":"1.0"}`},
		"panicking":    {encoding: binding.EncodingStructured, panicking: true},
		"not binary":   {encoding: binding.EncodingBinary},
		"no EventType": {encoding: binding.EncodingStructured, text: `{"specversion":"1.0","id":"1","source":"/s"}`},
	} {
		err := p.Send(t.Context(), m)
		var own *leat.Error
		require.ErrorAs(t, err, &own, name)
		assert.Equal(t, leat.CodeInvalid, own.Code, name)
		assert.True(t, protocol.IsUndelivered(err), name)
		assert.NotContains(t, err.Error(), "secret", name)
		assert.Equal(t, []error{err}, m.finished, name)
	}
}

// TestMessagesAreReadAsTheyCame: what the SDK's HTTP protocol received goes on byte for byte,
// though the SDK's own reader would write it anew.
func TestMessagesAreReadAsTheyCame(t *testing.T) {
	t.Parallel()
	b := newSlowBroker(t)
	p, err := cloudevents.New(b, &cloudevents.Options{Topic: "orders"})
	require.NoError(t, err)
	const at, source = "2026-01-02T03:04:05.000+02:00", "HTTP://EX/%7e#"
	for name, request := range map[string]*http.Request{
		"binary": {Header: http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Id": {" 1"}, "Ce-Source": {source}, "Ce-Type": {"t"}, "Ce-Time": {at}, "Ce-Myext": {"x"},
			"Content-Type": {"text/plain"},
		}, Body: io.NopCloser(strings.NewReader("abc"))},
		"structured": {Header: http.Header{"Content-Type": {"application/cloudevents+json"}}, Body: io.NopCloser(strings.NewReader(
			`{"specversion":"1.0","id":" 1","source":"` + source + `","type":"t","time":"` + at +
				`","myext":"x","datacontenttype":"text/plain","data":"abc"}`))},
	} {
		go func() { b.answer <- nil }()
		require.NoError(t, p.Send(t.Context(), cehttp.NewMessageFromHttpRequest(request)), name)
		e := <-b.taken
		assert.Equal(t, map[string]string{"specversion": "1.0", "id": " 1", "source": source, "type": "t", "time": at, "myext": "x",
			"datacontenttype": "text/plain"}, maps.Collect(e.Attributes()), name)
		assert.Equal(t, "abc", e.DataString(), name)
	}
	for name, request := range map[string]*http.Request{
		"too large": {Header: http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"},
		}, Body: io.NopCloser(io.LimitReader(rand.Reader, 1<<30))},
		"too large in JSON": {Header: http.Header{"Content-Type": {"application/cloudevents+json"}},
			Body: io.NopCloser(io.LimitReader(rand.Reader, 1<<30))},
	} {
		err := p.Send(t.Context(), cehttp.NewMessageFromHttpRequest(request))
		assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), "%s: %v", name, err)
	}
}

func TestBadEventsOfTheSDK(t *testing.T) {
	t.Parallel()
	b := memory.New(nil)
	defer func() { assert.NoError(t, b.Close()) }()
	p, err := cloudevents.New(b, &cloudevents.Options{Topic: "orders"})
	require.NoError(t, err)
	old := event.New("0.3")
	old.SetID("1")
	old.SetSource("/s")
	old.SetType("t")
	for name, m := range map[string]binding.Message{
		"nil": nil, "nil event": (*binding.EventMessage)(nil), "no context": binding.ToMessage(&event.Event{}),
		"nil context": binding.ToMessage(&event.Event{Context: (*event.EventContextV1)(nil)}), "version 0.3": binding.ToMessage(&old),
	} {
		for _, transformers := range [][]binding.Transformer{nil, {transformer.AddExtension("x", "y")}} {
			var own *leat.Error
			require.ErrorAs(t, p.Send(t.Context(), m, transformers...), &own, name)
			assert.Contains(t, []leat.Code{leat.CodeInvalid, leat.CodeUnsupported}, own.Code, name)
		}
	}
	require.NoError(t, p.Send(t.Context(), binding.ToMessage(&old), transformer.Version(specV1())))
	e := plainEvent("1")
	require.NoError(t, p.Send(t.Context(), binding.ToMessage(&e), transformer.AddExtension("x", "y")))
}

func specV1() spec.Version { return spec.VS.Version("1.0") }
