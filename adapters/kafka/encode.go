package kafka

import (
	"errors"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The headers of the CloudEvents Kafka binding.
const (
	headerPrefix      = "ce_"
	contentTypeHeader = "content-type"
	structuredType    = "application/cloudevents+json; charset=UTF-8"

	contentTypeName = "datacontenttype"
)

// headerName returns the header of an attribute. Those that most events have are spelled out, so that their names are not put together
// for each event; a switch takes less time than a map.
func headerName(attribute string) string {
	switch attribute {
	case contentTypeName:
		return contentTypeHeader
	case "specversion":
		return headerPrefix + "specversion"
	case "id":
		return headerPrefix + "id"
	case "source":
		return headerPrefix + "source"
	case "type":
		return headerPrefix + "type"
	case "subject":
		return headerPrefix + "subject"
	case "time":
		return headerPrefix + "time"
	case "dataschema":
		return headerPrefix + "dataschema"
	case "partitionkey":
		return headerPrefix + "partitionkey"
	case "traceparent":
		return headerPrefix + "traceparent"
	case "tracestate":
		return headerPrefix + "tracestate"
	}
	return headerPrefix + attribute
}

// EncodeRecord returns the record that [Broker.Publish] makes of an event in binary mode, with the event's Key as its key and without a
// topic. It is for those who produce with a client of their own, in a transaction for instance. The record shares nothing with the event.
// The error is an [*leat.Error] with [leat.CodeInvalid] for the zero Event; what else makes an event unfit to be published is found by
// [leat.Event.Validate].
func EncodeRecord(e leat.Event) (*kgo.Record, error) {
	if e.IsZero() {
		return nil, &leat.Error{Op: "encode", Code: leat.CodeInvalid, Err: errors.New("the zero Event is no event")}
	}
	both := &struct { // one allocation
		record  kgo.Record
		headers [typicalHeaders]kgo.RecordHeader
	}{}
	n := encoder{text: make([]byte, 0, e.Size()), headers: both.headers[:0]}
	n.key(&both.record, e)
	n.binary(&both.record, e)
	return &both.record, nil
}

// encoder turns events into records. It keeps their bytes and headers in few large pieces.
type encoder struct {
	text    []byte
	headers []kgo.RecordHeader
}

// typicalHeaders is how many headers an event is expected to have; more cost an allocation.
const typicalHeaders = 9

// put copies s and returns the copy. What was returned before stays as it is when the text outgrows its place.
func (n *encoder) put(s string) []byte {
	begin := len(n.text)
	n.text = append(n.text, s...)
	return n.text[begin:len(n.text):len(n.text)]
}

// key fills in r's key. No key is a null key, so that the client chooses the partition.
func (n *encoder) key(r *kgo.Record, e leat.Event) {
	if key := e.Key(); key != "" {
		r.Key = n.put(key)
	}
}

// binary fills in r's headers and value in binary mode (CloudEvents Kafka binding §3.2). No data is a null value, empty data an
// empty one.
func (n *encoder) binary(r *kgo.Record, e leat.Event) {
	begin := len(n.headers)
	for name, value := range e.Attributes() {
		n.headers = append(n.headers, kgo.RecordHeader{Key: headerName(name), Value: n.put(value)})
	}
	r.Headers = n.headers[begin:len(n.headers):len(n.headers)]
	if e.HasData() {
		r.Value = n.put(e.DataString())
	}
}

// structured fills in r's headers and value in structured mode (§3.3).
func (n *encoder) structured(r *kgo.Record, e leat.Event) error {
	value, err := e.AppendJSON(nil)
	if err != nil {
		return err
	}
	r.Value = value
	r.Headers = []kgo.RecordHeader{{Key: contentTypeHeader, Value: []byte(structuredType)}}
	return nil
}
