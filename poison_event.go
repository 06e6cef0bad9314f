package leat

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The extensions of an event in a poison queue. Only Leat sets them.
const (
	leatReason       = "leatreason"
	leatAttempts     = "leatattempts"
	leatDeliveries   = "leatdeliveries"
	leatFirstAttempt = "leatfirstattempt"
	leatReceived     = "leatreceived"
	leatPoisoned     = "leatpoisoned"
	leatTopic        = "leattopic"
	leatGroup        = "leatgroup"
	leatPosition     = "leatposition"
)

const (
	maxReasonBytes = 1 << 10
	malformedType  = "leat.malformed.v1"
)

// AsEvent returns the event that stands for p in a poison queue: the original with its attributes and data unchanged, plus the extensions
// leatreason (a String of at most 1 KiB, control characters escaped), leatattempts and leatdeliveries (Integer), leatfirstattempt,
// leatreceived and leatpoisoned (Timestamp), leattopic, leatgroup and leatposition. What is unknown is left out; leat… extensions of
// an earlier stay in a poison queue are replaced.
//
// A malformed delivery becomes an event of type leat.malformed.v1 with the source "/leat/<topic>/<group>", whose JSON data holds
// headers, key and body. Its id is a UUIDv8 (RFC 9562 §5.8) of the SHA-256 of topic, position and that data. So it is the same
// whenever the delivery is poisoned, which happens again after an outcome that is unknown, and in every group; its time is when the
// delivery was received.
//
// [PoisonedFrom] is the way back. The error is an [*Error]: [CodeInvalid] when p has neither, [CodeTooLarge] when the result exceeds
// 1 MiB or 80 attributes.
func (p Poisoned) AsEvent() (Event, error) {
	var d eventData
	if p.Malformed != nil {
		d = *malformedEvent(p.Malformed, p.Info)
	} else {
		if p.Event.IsZero() {
			return Event{}, p.Event.Validate()
		}
		d = *p.Event.d()
		d.ext = withoutLeat(d.ext, 9)
	}
	reason := p.Reason
	if reason == nil && p.Malformed != nil {
		reason = p.Malformed.Reason
	}
	d.setLeat(leatReason, kindString, reasonText(reason))
	d.setLeat(leatAttempts, kindInteger, strconv.Itoa(min(p.Info.Attempt, math.MaxInt32)))
	if p.Info.Deliveries > 0 {
		d.setLeat(leatDeliveries, kindInteger, strconv.Itoa(min(p.Info.Deliveries, math.MaxInt32)))
	}
	d.setLeatTime(leatFirstAttempt, p.Info.FirstAttempt)
	d.setLeatTime(leatReceived, p.Info.Received)
	d.setLeatTime(leatPoisoned, p.At)
	d.setLeatText(leatTopic, p.Info.Topic)
	d.setLeatText(leatGroup, p.Info.Group)
	if p.Info.Position != (Position{}) {
		d.setLeatText(leatPosition, p.Info.Position.String())
	}
	d.poisoned = true
	d.seal(maxAttributesDecoded)
	if d.err != nil {
		return Event{}, d.err
	}
	return Event{&d}, nil
}

// setLeat sets one of the reserved extensions. d.ext is not shared.
func (d *eventData) setLeat(name string, kind attrKind, text string) {
	x := extension{name: name, text: text, kind: kind}
	i, _ := slices.BinarySearchFunc(d.ext, name, func(x extension, name string) int { return cmp.Compare(x.name, name) })
	d.ext = slices.Insert(d.ext, i, x)
}

func (d *eventData) setLeatTime(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	if b, ok := appendTime(nil, t.UTC()); ok {
		d.setLeat(name, kindTimestamp, string(b))
	}
}

func (d *eventData) setLeatText(name, text string) {
	if text != "" {
		d.setLeat(name, kindString, printable(text, maxReasonBytes))
	}
}

// withoutLeat returns a copy of ext without the reserved extensions, with room for more.
func withoutLeat(ext []extension, room int) []extension {
	kept := make([]extension, 0, len(ext)+room)
	for _, x := range ext {
		if !strings.HasPrefix(x.name, reservedPrefix) {
			kept = append(kept, x)
		}
	}
	return kept
}

func reasonText(err error) string {
	if err == nil || err.Error() == "" {
		return "no reason given"
	}
	return printable(err.Error(), maxReasonBytes)
}

// printable makes s a valid String of at most limit bytes: what a String cannot have is escaped as Go does, and what does
// not fit is cut, which "..." shows.
func printable(s string, limit int) string {
	if len(s) <= limit && textRule(s) == "" {
		return s
	}
	const more = "..."
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			piece = fmt.Sprintf(`\x%02x`, s[i])
		case textRule(piece) != "":
			piece = strings.Trim(strconv.QuoteRuneToASCII(r), "'")
		}
		if b.Len()+len(piece) > limit-len(more) {
			return b.String() + more
		}
		b.WriteString(piece)
		i += n
	}
	return b.String()
}

// malformedData is the data of an event that stands for a malformed delivery. Bytes are base64; null means none.
type malformedData struct {
	Headers []malformedHeader `json:"headers"`
	Key     []byte            `json:"key"`
	Body    []byte            `json:"body"`
}

// malformedHeader has name_base64 instead of name where the name is not valid UTF-8.
type malformedHeader struct {
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	Value      []byte `json:"value"`
}

func malformedEvent(m *Malformed, info Info) *eventData {
	d := &eventData{hasData: true, validJSON: true}
	source := "/leat/" + url.PathEscape(info.Topic)
	if info.Group != "" {
		source += "/" + url.PathEscape(info.Group)
	}
	d.data = string(appendMalformed(nil, m))
	d.core[attrID] = malformedID(info, d.data)
	d.core[attrSource], d.core[attrType], d.core[attrContentType] = source, malformedType, jsonContentType
	if b, ok := appendTime(nil, info.Received.UTC()); ok && !info.Received.IsZero() {
		d.core[attrTime] = string(b)
	}
	return d
}

// malformedID derives an id from where the delivery came from and what was in it, and not from the group that found it malformed.
func malformedID(info Info, data string) string {
	return hashUUID(sha256.Sum256(fmt.Appendf(nil, "%q %q %s", info.Topic, info.Position.String(), data)))
}

// appendMalformed appends what [malformedData] describes.
func appendMalformed(dst []byte, m *Malformed) []byte {
	dst = append(dst, `{"headers":[`...)
	for i, h := range m.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		if utf8.ValidString(h.Name) {
			dst = append(dst, `{"name":"`...)
			dst = append(appendEscaped(dst, h.Name), '"')
		} else {
			dst = appendBase64(append(dst, `{"name_base64":`...), []byte(h.Name))
		}
		dst = append(appendBase64(append(dst, `,"value":`...), h.Value), '}')
	}
	dst = appendBase64(append(dst, `],"key":`...), m.Key)
	dst = appendBase64(append(dst, `,"body":`...), m.Body)
	return append(dst, '}')
}

func appendBase64(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// PoisonedFrom returns what an event that was read from a poison queue tells: it is the inverse of [Poisoned.AsEvent]. Event is the
// original, without the extensions that begin with leat, or Malformed is the delivery, byte for byte. Reason is an error with the text
// that was stored, which may be escaped and cut; of Malformed.Reason it is the same one. Info and At are those of the Consumer that
// gave up; what the event does not tell, or tells in a form that cannot be read, is zero.
//
// The error is an [*Error] with [CodeInvalid]: for an event without leatreason, which is not from a poison queue, and for one of
// type leat.malformed.v1 whose data is not what AsEvent writes.
func PoisonedFrom(e Event) (Poisoned, error) {
	fail := func(text string) (Poisoned, error) {
		return Poisoned{}, &Error{Op: "decode", EventID: e.ID(), Code: CodeInvalid, Err: errors.New(text)}
	}
	d := e.d()
	reason, ok := d.leat(leatReason)
	if !ok {
		return fail("the event is not from a poison queue: it has no " + leatReason)
	}
	p := Poisoned{
		Reason: errors.New(reason),
		At:     d.leatTime(leatPoisoned),
		Info: Info{
			Topic: d.leatText(leatTopic), Group: d.leatText(leatGroup),
			Attempt: d.leatCount(leatAttempts), FirstAttempt: d.leatTime(leatFirstAttempt),
			Deliveries: d.leatCount(leatDeliveries), Received: d.leatTime(leatReceived),
			Position: parsePosition(d.leatText(leatPosition)),
		},
	}
	if e.Type() != malformedType {
		p.Event = original(d)
		return p, nil
	}
	m, err := parseMalformed(d.data)
	if err != nil {
		return fail("the event does not stand for a malformed delivery: " + decodeFault(err).Error())
	}
	m.Reason = p.Reason
	p.Malformed = m
	return p, nil
}

// leat returns the text of one of the reserved extensions, and whether it is there. A transport may have made a String of any type.
func (d *eventData) leat(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(d.ext, name, func(x extension, name string) int { return cmp.Compare(x.name, name) })
	if !ok {
		return "", false
	}
	return d.ext[i].text, true
}

func (d *eventData) leatText(name string) string {
	text, _ := d.leat(name)
	return text
}

func (d *eventData) leatCount(name string) int {
	n, err := strconv.ParseInt(d.leatText(name), 10, 32)
	if err != nil {
		return 0
	}
	return max(int(n), 0)
}

func (d *eventData) leatTime(name string) time.Time {
	t, _ := parseTime(d.leatText(name))
	return t
}

// parsePosition is the way back from Position.String.
func parsePosition(text string) Position {
	partition, offset, _ := strings.Cut(text, "/")
	n, _ := strconv.ParseInt(partition, 10, 32)
	m, _ := strconv.ParseInt(offset, 10, 64)
	if p := (Position{Partition: int32(n), Offset: m}); p != (Position{}) && p.String() == text {
		return p
	}
	return Position{ID: text}
}

// original returns the event as it was before it came into a poison queue.
func original(poisoned *eventData) Event {
	d := *poisoned
	d.ext = withoutLeat(d.ext, 0)
	d.poisoned = false
	d.seal(maxAttributesDecoded)
	return Event{&d}
}

// parseMalformed is the way back from appendMalformed.
func parseMalformed(text string) (*Malformed, error) {
	var data malformedData
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return nil, err
	}
	m := &Malformed{Key: data.Key, Body: data.Body}
	for _, h := range data.Headers {
		name := h.Name
		if h.NameBase64 != nil {
			name = string(h.NameBase64)
		}
		m.Headers = append(m.Headers, Header{Name: name, Value: h.Value})
	}
	return m, nil
}
