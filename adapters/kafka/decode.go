package kafka

import (
	"errors"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a Kafka record that is no CloudEvent, for a Mapping.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time
	// Headers are in their order, duplicates included.
	Headers []leat.Header
	// Key and Value are nil where the record has none.
	Key, Value []byte
}

// decoder turns records into deliveries. It is used by one goroutine.
type decoder struct {
	assume  Assume
	mapping func(Record) (leat.Event, error)
	attrs   []leat.Header // scratch, as batch is
	batch   []candidate
}

// decode fills in the event of d, or why the record is none.
func (c *decoder) decode(r *kgo.Record, d *leat.Delivery) {
	e, err := c.event(r)
	if err == nil && e.IsZero() {
		err = errors.New("the Mapping returned the zero Event")
	}
	if err != nil {
		d.Malformed = &leat.Malformed{Headers: headersOf(r), Key: r.Key, Body: r.Value, Reason: err}
		return
	}
	d.Event = e
}

func headersOf(r *kgo.Record) []leat.Header {
	headers := make([]leat.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = leat.Header{Name: h.Key, Value: h.Value}
	}
	return headers
}

// event reads a record by its content type, and by nothing else: batched, structured, or binary (CloudEvents Kafka binding §3).
func (c *decoder) event(r *kgo.Record) (leat.Event, error) {
	contentType, isEvent, err := c.attributes(r)
	if err != nil {
		return leat.Event{}, err
	}
	switch {
	case isStructured(contentType):
		if err := structuredError(string(contentType)); err != nil {
			return leat.Event{}, err
		}
		return leat.ParseEvent(r.Value)
	case isEvent:
		return leat.DecodeEvent(c.attrs, r.Value)
	case c.mapping != nil:
		return c.mapping(Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp,
			Headers: headersOf(r), Key: r.Key, Value: r.Value})
	case c.assume == AssumeStructured:
		return leat.ParseEvent(r.Value)
	}
	return leat.Event{}, errors.New("the record is no CloudEvent: it has neither a header ce_specversion nor a CloudEvents content type")
}

// attributes collects the record's attributes into attrs. isEvent says that there is a specversion.
func (c *decoder) attributes(r *kgo.Record) (contentType []byte, isEvent bool, err error) {
	c.attrs = c.attrs[:0]
	typed := false
	for _, h := range r.Headers {
		name, ok := attributeName(h.Key)
		if !ok {
			continue
		}
		if name == contentTypeName {
			if typed {
				return nil, false, errors.New("the header content-type is there twice")
			}
			typed, contentType = true, h.Value
		}
		isEvent = isEvent || name == "specversion"
		c.attrs = append(c.attrs, leat.Header{Name: name, Value: h.Value})
	}
	return contentType, isEvent, nil // other duplicates are found by DecodeEvent
}

// attributeName returns the attribute that a header holds. Header names are compared without case, since some producers write them
// their own way.
func attributeName(header string) (string, bool) {
	switch {
	case hasPrefixFold(header, headerPrefix):
		name := strings.ToLower(header[len(headerPrefix):]) // as it is, where it is in lower case
		if name == contentTypeName {                        // it belongs into content-type, and must not pass for it
			return "ce_" + name, true
		}
		return name, true
	case strings.EqualFold(header, contentTypeHeader):
		return contentTypeName, true
	}
	return "", false
}

// structuredMedia is what the content types of structured and batched mode begin with.
const structuredMedia = "application/cloudevents"

// isStructured reports whether a content type is of structured or batched mode. It allocates nothing, since most are not.
func isStructured(contentType []byte) bool {
	return len(contentType) >= len(structuredMedia) && strings.EqualFold(string(contentType[:len(structuredMedia)]), structuredMedia)
}

// structuredError returns why the content type is of a format that cannot be read, or nil.
func structuredError(contentType string) error {
	switch {
	case hasPrefixFold(contentType, structuredMedia+"-batch"):
		return errors.New("the record is a batch of events, which Kafka has no mode for; publish them one by one")
	case !isJSON(contentType):
		return errors.New("the record is in structured mode in a format other than JSON")
	}
	return nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// isJSON reports whether the format of a structured content type is JSON. A bare application/cloudevents is.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	return strings.EqualFold(media, structuredMedia) || strings.EqualFold(media, structuredMedia+"+json")
}

// sizeOf is what a record counts against MaxInFlightBytes: no less than the event in it.
func sizeOf(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
