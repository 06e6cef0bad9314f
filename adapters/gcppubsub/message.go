package gcppubsub

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// response is one of a streaming pull, as it came. The generated types cost 40 allocations for a
// message with seven attributes, of which an event needs none. Free it.
type response struct{ mem.Buffer }

// codec is that of streaming pulls, whose responses it leaves as they are. It asks gRPC for no
// other one: the program may have given its own.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// Marshal implements [encoding.CodecV2].
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message of protobuf", v)
	}
	raw, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(raw)}, err
}

// Name implements [encoding.CodecV2]. It is part of the content type of a call, where gRPC's own
// codec is not named.
func (codec) Name() string { return "" }

// Unmarshal implements [encoding.CodecV2].
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *response:
		v.Buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	case proto.Message:
		return proto.Unmarshal(data.Materialize(), v)
	}
	return fmt.Errorf("%T is not a message of protobuf", v)
}

// message is a message as it came. Its bytes are those of its response.
type message struct {
	ackID, id            string
	key, data, published []byte
	headers              []leat.Header // its attributes, in no order
	attempt              int
	size                 int
}

const mostNames = 256 // that a decoder keeps

// parse reads a ReceivedMessage. m is valid until the next call.
func (c *decoder) parse(raw []byte) (m *message, err error) {
	m = &c.message
	clear(m.headers)
	*m = message{headers: m.headers[:0]}
	err = fields(raw, func(field protowire.Number, value []byte, number uint64) error {
		switch field {
		case 1:
			if !utf8.Valid(value) { // no request could name it
				return errors.New("the ack id is not text")
			}
			m.ackID = string(value)
		case 2:
			m.size = len(value)
			return fields(value, c.field)
		case 3:
			m.attempt = int(number)
		}
		return nil
	})
	return m, err
}

// field reads a field of a PubsubMessage.
func (c *decoder) field(field protowire.Number, value []byte, _ uint64) error {
	m := &c.message
	switch field {
	case 1:
		m.data = value
	case 2:
		h := leat.Header{Value: []byte{}}
		err := fields(value, func(field protowire.Number, value []byte, _ uint64) error {
			switch field {
			case 1:
				h.Name = c.name(value)
			case 2:
				h.Value = value
			}
			return nil
		})
		m.headers = append(m.headers, h)
		return err
	case 3:
		m.id = string(value)
	case 4:
		m.published = value
	case 5:
		m.key = value
	}
	return nil
}

// name returns the name of an attribute, which most messages have as well.
func (c *decoder) name(of []byte) string {
	if name, ok := c.names[string(of)]; ok {
		return name
	}
	name := string(of)
	if c.names == nil {
		c.names = map[string]string{}
	}
	if len(c.names) < mostNames && len(name) <= googlepubsub.MostNameBytes {
		c.names[name] = name
	}
	return name
}

// fields calls each for the fields of a message of protobuf, with the value of those that have a
// length or are a varint.
func fields(raw []byte, each func(field protowire.Number, value []byte, number uint64) error) error {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return fmt.Errorf("the response is not protobuf: %w", protowire.ParseError(n))
		}
		raw = raw[n:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(raw)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(raw)
		default:
			n = protowire.ConsumeFieldValue(field, kind, raw)
		}
		if n < 0 {
			return fmt.Errorf("the response is not protobuf: %w", protowire.ParseError(n))
		}
		raw = raw[n:]
		if err := each(field, value, number); err != nil {
			return err
		}
	}
	return nil
}

// skips reports whether an attribute counts for nothing: an empty content type, or the content type
// in another spelling, which some libraries write as well. One that differs is not left out.
func (m *message) skips(h leat.Header) bool {
	if len(h.Name) != len(contentType) || !strings.EqualFold(h.Name, contentType) {
		return false
	}
	return len(h.Value) == 0 || h.Name != contentType && slices.ContainsFunc(m.headers, func(other leat.Header) bool {
		return other.Name == contentType && bytes.Equal(other.Value, h.Value)
	})
}

// kept returns copies of the attributes, sorted by name, and of the key and the body; nil where
// they are empty.
func (m *message) kept() (headers []leat.Header, key, body []byte) {
	for _, h := range m.headers {
		headers = append(headers, leat.Header{Name: h.Name, Value: bytes.Clone(h.Value)})
	}
	slices.SortFunc(headers, func(a, b leat.Header) int { return cmp.Compare(a.Name, b.Name) })
	return headers, append([]byte(nil), m.key...), append([]byte(nil), m.data...)
}

// time returns when a message was published; zero where nobody knows.
func (m *message) time() time.Time {
	var at timestamppb.Timestamp
	if m.published == nil || proto.Unmarshal(m.published, &at) != nil {
		return time.Time{}
	}
	return at.AsTime()
}
