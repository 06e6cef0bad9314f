package cloudevents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/leatgo/leat"
)

// maxJSONBytes is as much as [leat.ParseEvent] takes.
const maxJSONBytes = 8 << 20

// readMessage returns the event of a message of the SDK. Foreign code runs here, and the SDK can be
// made to panic by what it reads.
func readMessage(ctx context.Context, m binding.Message, transformers []binding.Transformer) (e leat.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			e, err = unreadable("a %T was the panic of the SDK, or of one of its protocols, while it read the message", v)
		}
	}()
	if m == nil {
		return unreadable("the message is nil")
	}
	if len(transformers) > 0 {
		return transformed(ctx, m, transformers)
	}
	switch m.ReadEncoding() {
	case binding.EncodingEvent:
		sent, ok := binding.UnwrapMessage(m).(*binding.EventMessage)
		if !ok || sent == nil {
			return unreadable("the message has no event in it")
		}
		return FromSDK(event.Event(*sent))
	case binding.EncodingStructured, binding.EncodingBinary:
		var r reader
		if _, err := binding.DirectWrite(context.Background(), m, &r, &r); err != nil {
			return r.failed(err)
		}
		return r.event()
	case binding.EncodingBatch:
		return unreadable("the message is a batch of events; send them one by one")
	}
	return unreadable("the message is not a CloudEvent")
}

func unreadable(reason string, args ...any) (leat.Event, error) {
	return leat.Event{}, convertError("", leat.CodeInvalid, fmt.Errorf(reason, args...))
}

// transformed has the SDK read the message and apply the transformers, which know only the SDK's
// event.
func transformed(ctx context.Context, m binding.Message, transformers []binding.Transformer) (leat.Event, error) {
	in, err := binding.ToEvent(ctx, m, transformers...)
	switch {
	case err != nil: // its text may quote values
		return unreadable("the SDK cannot read or transform the message (%T)", err)
	case in == nil:
		return unreadable("the SDK read no event from the message")
	}
	return FromSDK(*in)
}

// reader takes a message in binary mode, or in structured mode in JSON.
type reader struct {
	structured bool
	json       []byte
	attributes []leat.Header
	extensions []extension
	data       []byte
}

var (
	_ binding.StructuredWriter = (*reader)(nil)
	_ binding.BinaryWriter     = (*reader)(nil)
)

// failed returns why a message could not be read: the reader's own error, or that of the SDK
// without its text, which may quote values.
func (r *reader) failed(err error) (leat.Event, error) {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return leat.Event{}, own
	}
	if attribute, ok := errors.AsType[*leat.AttributeError](err); ok {
		return leat.Event{}, convertError("", codeFor(attribute), attribute)
	}
	return unreadable("the SDK cannot read the message (%T)", err)
}

// event returns the event that was read.
func (r *reader) event() (leat.Event, error) {
	if !r.structured {
		return assemble(r.attributes, r.extensions, r.data)
	}
	e, err := leat.ParseEvent(r.json)
	if err != nil {
		return leat.Event{}, converted(err)
	}
	return e, nil
}

// SetStructuredEvent takes the text of an event in JSON.
func (r *reader) SetStructuredEvent(_ context.Context, f format.Format, text io.Reader) (err error) {
	if f == nil || f.MediaType() != event.ApplicationCloudEventsJSON {
		return convertError("", leat.CodeUnsupported, errors.New("the message is in structured mode in a format other than JSON"))
	}
	r.structured = true
	r.json, err = readAll(text, maxJSONBytes)
	return err
}

// Start does nothing.
func (r *reader) Start(context.Context) error { return nil }

// End does nothing.
func (r *reader) End(context.Context) error { return nil }

// SetAttribute takes a context attribute, as text or in the SDK's type.
func (r *reader) SetAttribute(a spec.Attribute, value any) error {
	if value == nil {
		return nil
	}
	text, ok := value.(string)
	if !ok {
		x, err := extensionOf("", value)
		if err != nil {
			return attributeError(a.Name(), "has a value of a type that is none of CloudEvents", ruleTypes)
		}
		text = x.text
	}
	r.attributes = append(r.attributes, leat.Header{Name: a.Name(), Value: []byte(text)})
	return nil
}

// SetExtension takes an extension, as text or in the SDK's type. Names are in lower case, since
// headers have none.
func (r *reader) SetExtension(name string, value any) error {
	if value == nil {
		return nil
	}
	if len(r.extensions) > maxExtensions {
		return attributeError(eventName, "has more than 80 attributes", ruleSize)
	}
	x, err := extensionOf(strings.ToLower(name), value)
	if err != nil {
		return err
	}
	r.extensions = append(r.extensions, x)
	return nil
}

// SetData takes the data. The SDK does not tell empty data from none where it reads none.
func (r *reader) SetData(data io.Reader) (err error) {
	r.data, err = readAll(data, maxEventBytes)
	return err
}

// readAll reads at most limit bytes.
func readAll(from io.Reader, limit int) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(from, int64(limit)+1))
	switch {
	case err != nil:
		return nil, convertError("", leat.CodeInvalid, fmt.Errorf("the message cannot be read to its end (%T)", err))
	case n > int64(limit):
		return nil, attributeError(eventName, fmt.Sprintf("has more than %d bytes", limit), ruleSize)
	case n == 0:
		return []byte{}, nil
	}
	return b.Bytes(), nil
}
