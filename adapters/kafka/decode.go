package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/mode"
	"github.com/leatgo/leat/internal/tracing"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DecodeRecord returns the event in a record, in binary or in structured mode, as a [Stream] reads it without a Mapping. It is for those
// who consume with a client of their own, and the way back from [EncodeRecord]. The event shares nothing with the record. The error is an
// [*leat.Error] with Op "decode" and [leat.CodeInvalid] or [leat.CodeTooLarge] that says why the record is no CloudEvent.
func DecodeRecord(r *kgo.Record) (leat.Event, error) {
	if r == nil {
		return leat.Event{}, &leat.Error{Op: "decode", Code: leat.CodeInvalid, Err: errors.New("the record is nil")}
	}
	var c decoder
	e, err := c.event(r)
	if err == nil {
		return e, nil
	}
	if _, ok := errors.AsType[*leat.Error](err); !ok {
		err = &leat.Error{Op: "decode", Code: leat.CodeInvalid, Err: err}
	}
	return leat.Event{}, err
}

// decoder turns records into deliveries. It is used by one goroutine.
type decoder struct {
	mapping foreign.Mapping
	trace   tracing.Headers // of the last record
	attrs   []leat.Header   // scratch, as headers and batch are
	headers []leat.Header
	batch   []candidate
}

// decode fills in the event of d, with the record's key where it has none, or why the record is none, and the trace context.
func (c *decoder) decode(r *kgo.Record, d *leat.Delivery) {
	e, err := c.event(r)
	d.Trace = c.trace.Context()
	clear(c.attrs) // they hold on to the record, as trace does
	c.trace = tracing.Headers{}
	if err != nil && c.mapping != nil {
		e, err = c.mapped(r, err)
	}
	if err != nil {
		d.Malformed = &leat.Malformed{Headers: headersOf(nil, r), Key: r.Key, Body: r.Value, Reason: err}
		return
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = string(r.Key)
	}
}

// timeOf is a record's timestamp. Kafka writes -1 where there is none.
func timeOf(r *kgo.Record) time.Time {
	if r.Timestamp.UnixMilli() == -1 {
		return time.Time{}
	}
	return r.Timestamp
}

// mapped is the event that the Mapping makes of a record that could not be read.
func (c *decoder) mapped(r *kgo.Record, reason error) (leat.Event, error) {
	c.headers = headersOf(c.headers[:0], r)
	defer func() {
		clear(c.headers) // they hold on to the record
		if cap(c.headers) > mostAttributes {
			c.headers = nil
		}
	}()
	position := leat.Position{Partition: r.Partition, Offset: r.Offset}
	m := foreign.Message{
		Topic: r.Topic, ID: r.Topic + "/" + position.String(), Position: position, Time: timeOf(r), Key: r.Key,
		Headers: c.headers, Body: r.Value, Err: reason,
	}
	for _, h := range c.headers {
		if isContentType(h.Name) {
			m.ContentType = string(h.Value)
			break
		}
	}
	return c.mapping.Event(m)
}

// headersOf appends the headers of a record.
func headersOf(headers []leat.Header, r *kgo.Record) []leat.Header {
	headers = slices.Grow(headers, len(r.Headers))
	for _, h := range r.Headers {
		headers = append(headers, leat.Header{Name: h.Key, Value: h.Value})
	}
	return headers
}

// errPlain is why a record is not an event that does not claim to be one.
var errPlain = fmt.Errorf("the record is not a CloudEvent: %w", foreign.ErrPlain)

// event reads a record by its content type, and by nothing else: batched, structured, or binary (CloudEvents Kafka binding §3).
func (c *decoder) event(r *kgo.Record) (leat.Event, error) {
	found := c.collect(r)
	structured := mode.HasPrefix(found.contentType, mode.CloudEvents)
	switch {
	case !structured && !found.version:
		return leat.Event{}, errPlain
	case found.typed > 1:
		return leat.Event{}, errors.New("the header content-type is there twice")
	case !structured:
		return c.binary(r, found)
	case mode.HasPrefix(found.contentType, mode.CloudEvents+"-batch"):
		return leat.Event{}, errors.New("the record is a batch of events, which Kafka has no mode for; publish them one by one")
	case !mode.IsJSON(string(found.contentType)):
		return leat.Event{}, errors.New("the record is in structured mode in a format other than JSON")
	}
	return leat.ParseEvent(r.Value)
}

// mostAttributes is how many ce_ headers are looked at: more than an event can have, nulls included.
const mostAttributes = 128

// found is what a record's headers say, beside the attributes.
type found struct {
	contentType []byte // of several, one of CloudEvents
	typed       int    // how many headers content-type there are, null ones included
	version     bool   // there is a specversion
	more        bool   // there are more attributes than mostAttributes
}

// collect puts the ce_ headers into attrs, and those of a trace context into trace. Header names are compared without case, since some
// producers write them their own way.
func (c *decoder) collect(r *kgo.Record) (f found) {
	c.attrs = c.attrs[:0]
	for i := range r.Headers {
		h := &r.Headers[i]
		if isContentType(h.Key) {
			f.typed++
			if f.typed == 1 || mode.HasPrefix(h.Value, mode.CloudEvents) {
				f.contentType = h.Value
			}
			continue
		}
		if !mode.HasPrefix(h.Key, headerPrefix) {
			c.trace.Add(h.Key, h.Value)
			continue
		}
		name := mode.Lower(h.Key[len(headerPrefix):])
		f.version = f.version || name == versionName && h.Value != nil
		if len(c.attrs) == mostAttributes {
			f.more = true
			continue
		}
		c.attrs = append(c.attrs, leat.Header{Name: name, Value: h.Value})
	}
	return f
}

func isContentType(name string) bool {
	return len(name) == len(contentTypeHeader) && mode.HasPrefix(name, contentTypeHeader)
}

// binary reads a record in binary mode (§3.2).
func (c *decoder) binary(r *kgo.Record, f found) (leat.Event, error) {
	if f.more {
		return leat.Event{}, &leat.Error{Op: "decode", Code: leat.CodeTooLarge,
			Err: fmt.Errorf("the record has more than %d headers that begin with %s", mostAttributes, headerPrefix)}
	}
	if err := c.addContentType(f); err != nil {
		return leat.Event{}, err
	}
	return leat.DecodeEvent(c.attrs, r.Value)
}

// addContentType makes the header content-type the attribute datacontenttype (§3.2.1). Some producers, Spring Cloud Function among them,
// write a header ce_datacontenttype in its place or beside it; it counts where it does not contradict.
func (c *decoder) addContentType(f found) error {
	if f.contentType == nil {
		return nil
	}
	i := slices.IndexFunc(c.attrs, func(a leat.Header) bool { return a.Name == contentTypeName })
	switch {
	case i < 0:
		c.attrs = append(c.attrs, leat.Header{Name: contentTypeName, Value: f.contentType})
	case c.attrs[i].Value == nil:
		c.attrs[i].Value = f.contentType
	case !bytes.Equal(c.attrs[i].Value, f.contentType):
		return errors.New("the headers content-type and ce_datacontenttype contradict each other")
	}
	return nil
}

// headerBytes is what a header takes up beside its name and value.
const headerBytes = 40

// sizeOf is what a record counts against MaxInFlightBytes: no less than the event in it. Headers that no event can have count for what they
// take up, since empty ones are nearly free to send.
func sizeOf(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value) + headerBytes*max(0, len(r.Headers)-mostAttributes)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
