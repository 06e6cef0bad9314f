package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DecodeRecord returns the event in a record, in binary or in structured mode, as a [Stream] reads
// it without Mapping and ReadHeaders. It is for those who consume with a client of their own, and
// the way back from [EncodeRecord]. The event shares nothing with the record. The error is an
// [*leat.Error] with Op "decode" and [leat.CodeInvalid] or [leat.CodeTooLarge] that says why the
// record is no CloudEvent.
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

const mostKeptHeaders = 128 // of a record, which a decoder keeps room for

// decoder turns records into deliveries. It is used by one goroutine.
type decoder struct {
	mapping foreign.Mapping
	further func(e leat.Event, headers []leat.Header) (leat.Event, error)
	reader  wire.Reader
	headers []leat.Header // scratch, as batch is
	batch   []candidate
}

// decode fills in the event of d, with the record's key where it has none, or why the record is
// none, and the trace context.
func (c *decoder) decode(r *kgo.Record, d *leat.Delivery) {
	e, err := c.event(r)
	d.Trace = c.reader.Trace()
	c.reader.Reset()
	if err != nil && c.mapping != nil {
		e, err = c.mapped(r, err)
	}
	if err == nil && c.further != nil {
		e, err = c.furthered(r, e)
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
	defer c.forget()
	position := leat.Position{Partition: r.Partition, Offset: r.Offset}
	m := foreign.Message{
		Topic: r.Topic, ID: r.Topic + "/" + position.String(), Position: position, Time: timeOf(r), Key: r.Key,
		Headers: c.headers, ContentType: wire.Find(c.headers, contentTypeHeader), Body: r.Value, Err: reason,
	}
	return c.mapping.Event(m)
}

// furthered is an event with what the headers of its record say of it.
func (c *decoder) furthered(r *kgo.Record, e leat.Event) (got leat.Event, err error) {
	c.headers = headersOf(c.headers[:0], r)
	defer c.forget()
	defer func() {
		if v := recover(); v != nil {
			got, err = leat.Event{}, fmt.Errorf("Options.ReadHeaders panicked with a %T", v)
		}
	}()
	if got, err = c.further(e, c.headers); err == nil {
		err = got.Validate()
	}
	return got, err
}

// forget lets go of the headers of a record.
func (c *decoder) forget() {
	clear(c.headers)
	if cap(c.headers) > mostKeptHeaders {
		c.headers = nil
	}
}

// headersOf appends the headers of a record.
func headersOf(headers []leat.Header, r *kgo.Record) []leat.Header {
	headers = slices.Grow(headers, len(r.Headers))
	for _, h := range r.Headers {
		headers = append(headers, leat.Header{Name: h.Key, Value: h.Value})
	}
	return headers
}

// event reads a record.
func (c *decoder) event(r *kgo.Record) (leat.Event, error) {
	c.reader.Begin(binding(), len(r.Headers))
	for i := range r.Headers {
		c.reader.Add(r.Headers[i].Key, r.Headers[i].Value)
	}
	return c.reader.Event(r.Value)
}

// sizeOf is what a record counts against MaxInFlightBytes: no less than the event in it.
func sizeOf(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value) + wire.Excess(len(r.Headers))
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
