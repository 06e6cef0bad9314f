package leat

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leatgo/leat/internal/attribute"
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
	leatKey          = "leatkey"
	leatReplays      = "leatreplays"
)

const (
	maxReasonBytes = 1 << 10
	malformedType  = "leat.malformed.v1"
	reducedType    = "leat.reduced.v1"
)

// AsEvent returns the event that stands for p in a poison queue: the original with its attributes
// and data unchanged, plus the extensions leatreason (a String of at most 1 KiB, control characters
// escaped), leatattempts and leatdeliveries (Integer), leatfirstattempt, leatreceived and
// leatpoisoned (Timestamp), leattopic, leatgroup and leatposition, and leatreplays (Integer). What
// is unknown is left out; those of an earlier stay in a poison queue are replaced.
//
// An event without a partitionkey that came with a key of the transport gets that as its
// partitionkey, so that the poison queue keeps the order. The extension leatkey says in which form:
// "text" as it is; "base64" where it is not a valid String; "sha256" where it is longer than 64
// KiB, as "sha256:" and the hash in hexadecimal, because the key itself does not fit. A second word
// "empty" says that the original had an empty partitionkey.
//
// A malformed delivery becomes an event of type leat.malformed.v1 with the source
// "/leat/<topic>/<group>", whose JSON data holds headers, key and body. Its id is a UUIDv8 (RFC
// 9562 §5.8) of the SHA-256 of topic, position and that data. So it is the same whenever the
// delivery is poisoned, which happens again after an outcome that is unknown, and in every group;
// its time is when the delivery was received.
//
// What does not fit into 1 MiB and 80 attributes is written in the reduced form, which [Reduction]
// describes, so that everything that a Consumer can receive can be poisoned. [PoisonedFrom] is the
// way back. The error is an [*Error] with [CodeInvalid] when p has neither an event nor a malformed
// delivery, or an invalid event.
func (p Poisoned) AsEvent() (Event, error) { return p.AsEventWithin(Limits{}) }

// AsEventWithin is AsEvent for a queue with limits of its own, such as [Producer].Limits: what they
// do not take whole is written in the reduced form. The reduced form needs 8 KiB and 20 attributes;
// below that the error has [CodeTooLarge].
func (p Poisoned) AsEventWithin(limits Limits) (Event, error) {
	limits = producerLimits(limits)
	if p.Reduced == nil && (p.Malformed == nil || p.Malformed.Size() <= limits.MaxEventBytes) {
		d, err := p.whole()
		if err != nil || d.size <= limits.MaxEventBytes && d.attributes <= limits.MaxAttributes {
			return Event{d}, err
		}
	}
	e, note, err := p.reduce(limits)
	if err == nil && p.note != nil {
		p.note.Store(note)
	}
	return e, err
}

// whole returns p as an event with nothing missing, however large that is.
func (p Poisoned) whole() (*eventData, error) {
	var d eventData
	if p.Malformed != nil {
		d = *malformedEvent(p.Malformed, p.Info)
	} else {
		if err := p.Event.Validate(); err != nil && (p.Event.IsZero() || p.Event.d().err != nil) { // the Producer has the source
			return nil, err
		}
		d = *p.Event.d()
		_, again := d.leat(leatReason)
		d.ext = withoutLeat(d.ext, 12, again)
	}
	d.setPoisonKey(p.Info.Key, maxValueDecoded)
	p.setLeat(&d, maxReasonBytes)
	d.seal(maxAttributesDecoded)
	d.err = nil // of a size that somebody else judges
	return &d, nil
}

// setLeat sets the extensions that tell of p, each of at most limit bytes. d.ext is not shared.
func (p Poisoned) setLeat(d *eventData, limit int) {
	reason := p.Reason
	if reason == nil && p.Malformed != nil {
		reason = p.Malformed.Reason
	}
	d.setLeat(leatReason, kindString, reasonText(reason, limit))
	d.setLeat(leatAttempts, kindInteger, strconv.Itoa(min(p.Info.Attempt, math.MaxInt32)))
	if p.Info.Deliveries > 0 {
		d.setLeat(leatDeliveries, kindInteger, strconv.Itoa(min(p.Info.Deliveries, math.MaxInt32)))
	}
	if p.Replays > 0 {
		d.setLeat(leatReplays, kindInteger, strconv.Itoa(min(p.Replays, math.MaxInt32)))
	}
	d.setLeatTime(leatFirstAttempt, p.Info.FirstAttempt)
	d.setLeatTime(leatReceived, p.Info.Received)
	d.setLeatTime(leatPoisoned, p.At)
	d.setLeatText(leatTopic, p.Info.Topic, limit)
	d.setLeatText(leatGroup, p.Info.Group, limit)
	if p.Info.Position != (Position{}) {
		d.setLeatText(leatPosition, p.Info.Position.String(), limit)
	}
	d.poisoned = true
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
	if b, ok := attribute.AppendTime(nil, t.UTC()); ok {
		d.setLeat(name, kindTimestamp, string(b))
	}
}

func (d *eventData) setLeatText(name, text string, limit int) {
	if text != "" {
		d.setLeat(name, kindString, printable(text, limit))
	}
}

// isPoisonName reports whether an extension is one of the poison queue. Others that begin with leat
// belong to the original.
func isPoisonName(name string) bool {
	switch name {
	case leatReason, leatAttempts, leatDeliveries, leatFirstAttempt, leatReceived, leatPoisoned,
		leatTopic, leatGroup, leatPosition, leatKey, leatReplays:
		return true
	}
	return false
}

// withoutLeat returns a copy of ext without the poison queue's extensions, with room for more.
// leatkey stays where that is asked for: an event that is poisoned once more still has the key that
// it tells of.
func withoutLeat(ext []extension, room int, keepKey bool) []extension {
	kept := make([]extension, 0, len(ext)+room)
	for _, x := range ext {
		if !isPoisonName(x.name) || keepKey && x.name == leatKey {
			kept = append(kept, x)
		}
	}
	return kept
}

func reasonText(err error, limit int) string {
	if err == nil || err.Error() == "" {
		return "no reason given"
	}
	return printable(err.Error(), limit)
}

// printable makes s a valid String of at most limit bytes: what a String cannot have is escaped as
// Go does, and what does not fit is cut, which "..." shows.
func printable(s string, limit int) string {
	if len(s) <= limit && attribute.TextRule(s) == "" {
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
		case attribute.TextRule(piece) != "":
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

// PoisonedFrom returns what an event that was read from a poison queue tells: it is the inverse of
// [Poisoned.AsEvent]. Event is the original, without the extensions of the poison queue, or
// Malformed is the delivery, byte for byte. Where some of it did not fit into the queue, Reduced
// says what is missing and Event is the zero Event, so that nobody takes a piece for the whole.
// Reason is an error with the text that was stored, which may be escaped and cut; of
// Malformed.Reason it is the same one. Info and At are those of the Consumer that gave up; what the
// event does not tell, or tells in a form that cannot be read, is zero.
//
// The error is an [*Error] with [CodeInvalid]: for an event without leatreason, which is not from a
// poison queue, and for one of type leat.malformed.v1 or leat.reduced.v1 whose data is not what
// AsEvent writes.
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
		At:     d.leatTime(leatPoisoned), Replays: d.leatCount(leatReplays),
		Info: Info{
			Topic: d.leatText(leatTopic), Group: d.leatText(leatGroup),
			Attempt: d.leatCount(leatAttempts), FirstAttempt: d.leatTime(leatFirstAttempt),
			Deliveries: d.leatCount(leatDeliveries), Received: d.leatTime(leatReceived),
			Position: parsePosition(d.leatText(leatPosition)), Key: d.poisonKey(),
		},
	}
	var err error
	switch e.Type() {
	case malformedType:
		p.Malformed, p.Reduced, err = parseMalformed(d.data)
	case reducedType:
		p.Event, p.Reduced, err = parseReduced(d.data)
	default:
		p.Event = original(d)
	}
	if err != nil {
		return fail(err.Error())
	}
	if p.Malformed != nil {
		p.Malformed.Reason = p.Reason
	}
	return p, nil
}

// IsPoisoned reports whether e is from a poison queue, or on its way there: an event that
// [Poisoned.AsEvent] made, which has the extension leatreason. It may be the original with its type
// and data, or stand for a malformed delivery or for what did not fit, with a type and data of
// Leat's own. A [PublishMiddleware] that checks or changes data lets such an event pass as it is:
// what it refuses stays unsettled, and holds up its key. Whoever can publish can set that
// extension, so nobody's permission may depend on it.
func IsPoisoned(e Event) bool { return e.d().poisoned }

// leat returns the text of one of the reserved extensions, and whether it is there. A transport may
// have made a String of any type.
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
	t, _ := attribute.ParseTime(d.leatText(name))
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
	d.dropPoisonKey()
	d.ext = withoutLeat(d.ext, 0, false)
	d.poisoned = false
	d.seal(maxAttributesDecoded)
	return Event{&d}
}

// How leatkey says that the partitionkey of an event in a poison queue was made of the transport's
// key.
const (
	keyText   = "text"
	keyBase64 = "base64"
	keySHA256 = "sha256"
	keyEmpty  = " empty" // behind one of the others: the original has an empty partitionkey
)

// setPoisonKey makes the transport's key the partitionkey of a poisoned event that has none, of at
// most limit bytes.
func (d *eventData) setPoisonKey(key string, limit int) {
	if key == "" || d.key != "" {
		return
	}
	form, text := keyText, key
	if attribute.TextRule(key) != "" {
		form, text = keyBase64, base64.StdEncoding.EncodeToString([]byte(key))
	}
	if len(text) > limit {
		form, text = keySHA256, hashedKey(key)
	}
	if d.hasKey {
		form += keyEmpty
	}
	d.key, d.hasKey = text, true
	d.setLeat(leatKey, kindString, form)
}

// hashedKey stands for a key that is too long.
func hashedKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return keySHA256 + ":" + hex.EncodeToString(sum[:])
}

// poisonKey returns the transport's key that setPoisonKey was given, or what stands for it; empty
// where there is none.
func (d *eventData) poisonKey() string {
	form, _ := d.leat(leatKey)
	switch strings.TrimSuffix(form, keyEmpty) {
	case keyText, keySHA256:
		return d.key
	case keyBase64:
		if key, err := base64.StdEncoding.DecodeString(d.key); err == nil {
			return string(key)
		}
	}
	return ""
}

// dropPoisonKey takes back what setPoisonKey did.
func (d *eventData) dropPoisonKey() {
	if form, ok := d.leat(leatKey); ok && d.poisonKey() != "" {
		d.key, d.hasKey = "", strings.HasSuffix(form, keyEmpty)
	}
}
