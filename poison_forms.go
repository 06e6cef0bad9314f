package leat

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// reducedNote says what became of an event that was written in the reduced form, for the log.
type reducedNote struct{ size, kept, missing int }

const (
	// minPoisonBytes and minPoisonAttributes are what the reduced form needs.
	minPoisonBytes      = 8 << 10
	minPoisonAttributes = 20
	// keptBytes is how long an id, a source and a short text of the reduced form may be.
	keptBytes   = 256
	maxTimeKept = 64
	// rePoisonBytes is kept free, so that the reduced form can be poisoned once more, for a longer
	// reason.
	rePoisonBytes = 4 << 10
	// missingBytes is what appendMissing takes at most, without the names.
	missingBytes = len(`,"size":,"data_size":,"data_sha256":"","dropped":[],"dropped_more":`) + 3*20 + 2*sha256.Size
)

// reduce returns p in the reduced form, and what to say of it.
func (p Poisoned) reduce(limits Limits) (Event, *reducedNote, error) {
	if limits.MaxEventBytes < minPoisonBytes || limits.MaxAttributes < minPoisonAttributes {
		return Event{}, nil, &Error{Op: "poison", Topic: p.Info.Topic, EventID: p.Event.ID(), Code: CodeTooLarge, Err: fmt.Errorf(
			"the poison queue takes %d bytes and %d attributes; it needs %d and %d", limits.MaxEventBytes, limits.MaxAttributes,
			minPoisonBytes, minPoisonAttributes)}
	}
	p, id := p.unwrapped()
	limit, key := maxReasonBytes, maxValueBytes
	if limits.MaxEventBytes < 32<<10 {
		limit, key = keptBytes, keptBytes
	}
	lost := p.original()
	d := malformedShell(reducedMalformedID(p.Info, lost), "", p.Info)
	if p.Malformed == nil {
		if err := lost.Event.Validate(); err != nil {
			return Event{}, nil, err
		}
		d = reducedShell(lost.Event, p.Info, key)
	}
	if id != "" {
		d.core[attrID] = id
	}
	d.setPoisonKey(p.Info.Key, key)
	p.setLeat(d, limit)
	d.seal(maxAttributesDecoded)
	room := limits.MaxEventBytes - d.size - min(rePoisonBytes, limits.MaxEventBytes/8)
	var kept int
	if p.Malformed != nil {
		d.data, kept, lost = reduceMalformed(p.Malformed, lost, room)
	} else {
		d.data, kept, lost = reduceEvent(lost.Event, lost, d, room)
	}
	d.seal(limits.MaxAttributes)
	if d.err == nil && d.size > limits.MaxEventBytes {
		d.err = &Error{Op: "poison", Topic: p.Info.Topic, EventID: p.Event.ID(), Code: CodeInternal,
			Err: fmt.Errorf("the reduced form has %d bytes; at most %d are allowed", d.size, limits.MaxEventBytes)}
	}
	if d.err != nil {
		return Event{}, nil, d.err
	}
	return Event{d}, &reducedNote{lost.Size, kept, len(lost.Dropped) + lost.DroppedMore}, nil
}

// unwrapped returns p with the original of an event that comes from a poison queue itself, so that
// this is reduced and not what the queue made of it; and the id that the queue gave it, if any.
func (p Poisoned) unwrapped() (Poisoned, string) {
	again, err := PoisonedFrom(p.Event)
	if err != nil {
		return p, ""
	}
	id := ""
	if t := p.Event.Type(); t == reducedType || t == malformedType {
		id = p.Event.ID()
	}
	p.Info.Key = cmp.Or(p.Info.Key, again.Info.Key)
	p.Event, p.Malformed, p.Reduced = again.Event, again.Malformed, again.Reduced
	return p, id
}

// original says of what p was before anything was missing, with all that is left of an event.
func (p Poisoned) original() *Reduction {
	if p.Reduced != nil {
		r := *p.Reduced
		return &r
	}
	data, size := p.Event.d().data, p.Event.Size()
	if m := p.Malformed; m != nil {
		sum := sha256.Sum256(m.Body)
		return &Reduction{Size: m.Size(), DataSize: len(m.Body), DataSHA256: hex.EncodeToString(sum[:]), KeySize: len(m.Key)}
	}
	sum := sha256.Sum256([]byte(data))
	return &Reduction{Event: p.Event, Size: size, DataSize: len(data), DataSHA256: hex.EncodeToString(sum[:])}
}

// reducedShell is the event of the reduced form of e, without its data.
func reducedShell(e Event, info Info, keyLimit int) *eventData {
	d := &eventData{hasData: true}
	d.core[attrID], d.core[attrSource] = e.ID(), e.Source()
	if len(e.ID()) > keptBytes || len(e.Source()) > keptBytes || e.Source() == "" {
		d.core[attrID] = uuid.Hash(sha256.Sum256(fmt.Appendf(nil, "%q %q", e.Source(), e.ID())))
		d.core[attrSource] = poisonSource(info)
	}
	d.core[attrType], d.core[attrContentType] = reducedType, attribute.JSONType
	if len(e.TimeString()) <= maxTimeKept {
		d.core[attrTime] = e.TimeString()
	}
	if key := e.Key(); key != "" {
		d.key, d.hasKey = key, true
		if len(key) > keyLimit {
			d.key = hashedKey(key)
		}
	}
	return d
}

// reduceEvent returns the data of the reduced form of e, of at most room bytes, how much of e's
// data is in it, and what is missing. Half of the room is for the data, if it needs so much; the
// rest is for the attributes. shell has the required ones that do not fit.
func reduceEvent(e Event, whole *Reduction, shell *eventData, room int) (string, int, *Reduction) {
	lost := *whole
	names := room / 16
	room -= missingBytes + len(`{"event":}`) + names
	lost.dropAgain(whole, &names)
	left := *e.d()
	left.ext = withoutLeat(left.ext, 0, false)
	left.data, left.validJSON = "", false
	left.fitAttributes(max(room/2, room-base64.StdEncoding.EncodedLen(len(e.d().data))-len(`,"data_base64":""`)), shell, &lost, &names)
	text := left.fitData(e.d(), room+max(names, 0))
	dst := append([]byte(`{"event":`), text...)
	dst = appendMissing(append(dst, ','), &lost)
	return string(append(dst, '}')), len(left.data), &lost
}

// fitAttributes drops from d, which has no data, what does not fit into room bytes of JSON.
func (d *eventData) fitAttributes(room int, shell *eventData, lost *Reduction, names *int) {
	room -= len(`{"specversion":"1.0"}`)
	fits := func(name, value string, share int) bool {
		n := len(`,"":""`) + len(name) + len(jsontext.AppendEscaped(nil, value))
		if n > room/share {
			lost.drop(name, names)
			return false
		}
		room -= n
		return true
	}
	for i := range d.core {
		if d.core[i] == "" || fits(coreNames[i], d.core[i], 2) {
			continue
		}
		d.core[i] = ""
		if i <= attrType {
			d.core[i] = shell.core[i]
			room -= len(coreNames[i]) + len(shell.core[i])
		}
	}
	if d.hasKey && !fits(keyName, d.key, 2) {
		d.key, d.hasKey = "", false
	}
	kept := make([]extension, 0, len(d.ext))
	for _, x := range d.ext {
		if fits(x.name, x.text, 1) {
			kept = append(kept, x)
		}
	}
	d.ext = kept
}

// fitData returns d with as much of the data of e as fits into room bytes, as JSON.
func (d *eventData) fitData(e *eventData, room int) []byte {
	if !e.hasData {
		return d.appendJSON(nil)
	}
	d.hasData = false
	bare := len(d.appendJSON(nil))
	d.hasData = true
	for n := min(len(e.data), room); ; {
		d.data = e.data[:n]
		text := d.appendJSON(nil)
		if len(text) <= room || n == 0 {
			return text
		}
		// What the form adds to each byte is what it added this time, unless a cut changes the
		// form.
		n = min(n-1, max(0, int(float64(n)*float64(room-bare)/float64(len(text)-bare))-8))
	}
}

// reducedData is the data of the reduced form of an event.
type reducedData struct {
	missingData

	Event json.RawMessage `json:"event"`
}

// parseReduced is the way back from reduceEvent: the event, where nothing is missing, or else what
// is left and what is not.
func parseReduced(text string) (Event, *Reduction, error) {
	var data reducedData
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return Event{}, nil, fmt.Errorf("the event does not stand for another one: %w", decodeFault(err))
	}
	e, err := ParseEvent(data.Event)
	if err != nil {
		return Event{}, nil, fmt.Errorf("the event does not stand for another one: %w", err)
	}
	r := data.reduction()
	if r.missing(len(e.d().data)) {
		r.Event = e
		return Event{}, r, nil
	}
	if sum := sha256.Sum256([]byte(e.d().data)); hex.EncodeToString(sum[:]) != r.DataSHA256 {
		return Event{}, nil, errors.New("the event does not stand for another one: its data is not that of data_sha256")
	}
	return e, nil, nil
}
