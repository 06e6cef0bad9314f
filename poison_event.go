package leat

import (
	"cmp"
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
// A malformed delivery becomes an event of type leat.malformed.v1 with the source "/leat/<topic>/<group>" and a new id, whose
// JSON data holds headers, key and body; [MalformedFrom] reads it.
//
// The error is an [*Error]: [CodeInvalid] when p has neither, [CodeTooLarge] when the result exceeds 1 MiB or 80 attributes.
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

// Original returns e without the extensions that a poison queue added, so that it is as it was published. An event that has none
// is returned as it is.
func Original(e Event) Event {
	has := slices.ContainsFunc(e.d().ext, func(x extension) bool { return strings.HasPrefix(x.name, reservedPrefix) })
	if !has {
		return e
	}
	d := *e.d()
	d.ext = withoutLeat(d.ext, 0)
	d.poisoned = false
	d.seal(maxAttributesDecoded)
	return Event{&d}
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
	d.core[attrSource], d.core[attrType], d.core[attrContentType] = source, malformedType, jsonContentType
	d.fillIDAndTime(info.Received)
	d.data = string(appendMalformed(nil, m))
	return d
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

// MalformedFrom returns the delivery that an event of type leat.malformed.v1 stands for, byte for byte; its Reason has the text of
// the first one. The error is an [*Error] with [CodeInvalid] for any other event.
func MalformedFrom(e Event) (*Malformed, error) {
	fail := func(text string) (*Malformed, error) {
		return nil, &Error{Op: "decode", EventID: e.ID(), Code: CodeInvalid, Err: errors.New(text)}
	}
	if e.Type() != malformedType {
		return fail("the event does not stand for a malformed delivery: its type is not " + malformedType)
	}
	var data malformedData
	if err := json.Unmarshal([]byte(e.DataString()), &data); err != nil {
		return fail("the event does not stand for a malformed delivery: " + decodeFault(err).Error())
	}
	m := &Malformed{Key: data.Key, Body: data.Body}
	for _, h := range data.Headers {
		name := h.Name
		if h.NameBase64 != nil {
			name = string(h.NameBase64)
		}
		m.Headers = append(m.Headers, Header{Name: name, Value: h.Value})
	}
	if reason, ok := e.Extension(leatReason); ok {
		m.Reason = errors.New(fmt.Sprint(reason))
	}
	return m, nil
}
