package leat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
	"github.com/leatgo/leat/internal/uuid"
)

// malformedData is the data of an event that stands for a malformed delivery. Bytes are base64;
// null means none. KeySize and missingData are there only in the reduced form.
type malformedData struct {
	missingData

	Headers []malformedHeader `json:"headers"`
	Key     []byte            `json:"key"`
	Body    []byte            `json:"body"`
	KeySize int               `json:"key_size"`
}

// malformedHeader has name_base64 instead of name where the name is not valid UTF-8.
type malformedHeader struct {
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	Value      []byte `json:"value"`
}

func malformedEvent(m *Malformed, info Info) *eventData {
	data := string(appendMalformed(nil, m))
	return malformedShell(malformedID(info, data), data, info)
}

// malformedShell is the event of a malformed delivery around its data.
func malformedShell(id, data string, info Info) *eventData {
	d := &eventData{data: data, hasData: true, validJSON: true}
	d.core[attrID], d.core[attrSource], d.core[attrType], d.core[attrContentType] = id, poisonSource(info), malformedType, attribute.JSONType
	if b, ok := attribute.AppendTime(nil, info.Received.UTC()); ok && !info.Received.IsZero() {
		d.core[attrTime] = string(b)
	}
	return d
}

// maxSourceBytes is how long a source is that has the longest topic and group.
const maxSourceBytes = len("/leat//") + 2*maxNameBytes

// poisonSource is the source of an event that a poison queue makes itself.
func poisonSource(info Info) string {
	source := "/leat/" + url.PathEscape(info.Topic)
	if info.Group != "" {
		source += "/" + url.PathEscape(info.Group)
	}
	if len(source) > maxSourceBytes { // these are no names of a Subscription
		return "/leat"
	}
	return source
}

// malformedID derives an id from where the delivery came from and what was in it, and not from the
// group that found it malformed.
func malformedID(info Info, data string) string {
	return uuid.Hash(sha256.Sum256(fmt.Appendf(nil, "%q %q %s", info.Topic, info.Position.String(), data)))
}

// reducedMalformedID is malformedID for the reduced form. What fits is not in it, so that it does
// not depend on the limits of the queue.
func reducedMalformedID(info Info, r *Reduction) string {
	return malformedID(info, fmt.Sprintf("%d %d %s", r.Size, r.DataSize, r.DataSHA256))
}

// appendMalformed appends what [malformedData] describes.
func appendMalformed(dst []byte, m *Malformed) []byte {
	return append(appendMalformedOpen(dst, m), '}')
}

// appendMalformedOpen is appendMalformed without the last brace.
func appendMalformedOpen(dst []byte, m *Malformed) []byte {
	dst = append(dst, `{"headers":[`...)
	for i, h := range m.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendHeader(dst, h)
	}
	dst = appendBase64(append(dst, `],"key":`...), m.Key)
	return appendBase64(append(dst, `,"body":`...), m.Body)
}

func appendHeader(dst []byte, h Header) []byte {
	if utf8.ValidString(h.Name) {
		dst = append(dst, `{"name":"`...)
		dst = append(jsontext.AppendEscaped(dst, h.Name), '"')
	} else {
		dst = appendBase64(append(dst, `{"name_base64":`...), []byte(h.Name))
	}
	return append(appendBase64(append(dst, `,"value":`...), h.Value), '}')
}

func appendBase64(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// reduceMalformed returns the data of the reduced form, of at most room bytes, how much of the body
// is in it, and what is missing. Half of the room is for the body, if it needs so much; the rest is
// for the key and the headers, in their order.
func reduceMalformed(m *Malformed, whole *Reduction, room int) (string, int, *Reduction) {
	lost := *whole
	names := room / 16
	room -= missingBytes + len(`{"headers":[],"key":"","body":"","key_size":}`) + 20 + names
	lost.dropAgain(whole, &names)
	kept := Malformed{Key: m.Key[:min(len(m.Key), room/32*3)], Body: m.Body}
	room -= base64.StdEncoding.EncodedLen(len(kept.Key))
	body := base64.StdEncoding.EncodedLen(len(m.Body))
	forHeaders := max(room/2, room-body)
	var one []byte
	for _, h := range m.Headers {
		one = appendHeader(one[:0], h)
		if len(one)+1 > forHeaders {
			lost.drop(h.Name, &names)
			continue
		}
		forHeaders -= len(one) + 1
		room -= len(one) + 1
		kept.Headers = append(kept.Headers, h)
	}
	if room += max(names, 0); body > room {
		kept.Body = m.Body[:max(room, 0)/4*3]
	}
	dst := appendMalformedOpen(nil, &kept)
	dst = appendMissing(append(dst, ','), &lost)
	dst = strconv.AppendInt(append(dst, `,"key_size":`...), int64(lost.KeySize), 10)
	return string(append(dst, '}')), len(kept.Body), &lost
}

// parseMalformed is the way back from appendMalformed and reduceMalformed.
func parseMalformed(text string) (*Malformed, *Reduction, error) {
	var data malformedData
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return nil, nil, fmt.Errorf("the event does not stand for a malformed delivery: %w", decodeFault(err))
	}
	m := &Malformed{Key: data.Key, Body: data.Body}
	for _, h := range data.Headers {
		name := h.Name
		if h.NameBase64 != nil {
			name = string(h.NameBase64)
		}
		m.Headers = append(m.Headers, Header{Name: name, Value: h.Value})
	}
	if data.DataSHA256 == "" {
		return m, nil, nil
	}
	r := data.reduction()
	r.KeySize = data.KeySize
	return m, r, nil
}
