package leat

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
	"github.com/leatgo/leat/internal/uuid"
)

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

// Reduction says what is missing of an event or a malformed delivery that did not fit into its
// poison queue whole. It is what [PoisonedFrom] reads from the reduced form, in which Leat writes
// what does not fit as it is.
//
// The reduced form of an event is one of type leat.reduced.v1, which no handler takes for the
// original. Its id and source are the original's where they have at most 256 bytes each; else the
// id is a UUIDv8 of the SHA-256 of both and the source is "/leat/<topic>/<group>". Its JSON data
// has the original in the CloudEvents JSON format as the member event, and the members size,
// data_size, data_sha256, dropped and dropped_more, as the fields here. When all of the original
// fits in this form, nothing is missing. Else its data is cut at the end, and attributes that do
// not fit are left out, extensions first.
//
// The reduced form of a malformed delivery has the type of the whole one, leat.malformed.v1, and
// the same members of its data: headers that do not fit are left out, and key and body are cut at
// their ends. key_size is the size of the whole key, and data_size, data_sha256 are those of the
// body.
type Reduction struct {
	// Event is what is left of an event; the zero Event for a malformed delivery. A required
	// attribute that is missing is that of the event in the poison queue.
	Event Event
	// Size is the size in bytes of the whole, as [Event.Size] or [Malformed.Size] counts it.
	Size int
	// DataSize is how many bytes the whole data or body has, and DataSHA256 their hash in
	// hexadecimal.
	DataSize   int
	DataSHA256 string
	// KeySize is how many bytes the whole key of a malformed delivery has.
	KeySize int
	// Dropped names the attributes or headers that are missing, each cut to 128 bytes.
	Dropped []string
	// DroppedMore is how many are missing whose names did not fit either.
	DroppedMore int
}

// drop notes that an attribute or header is missing, with its name as far as room has bytes for
// names.
func (r *Reduction) drop(name string, room *int) {
	name = printable(name, 128)
	if n := len(jsontext.AppendEscaped(nil, name)) + len(`"",`); n <= *room {
		*room -= n
		r.Dropped = append(r.Dropped, name)
		return
	}
	r.DroppedMore++
}

// dropAgain notes what was missing before, with the names that fit now.
func (r *Reduction) dropAgain(before *Reduction, room *int) {
	r.Dropped = nil
	for _, name := range before.Dropped {
		r.drop(name, room)
	}
}

// missing reports whether anything is.
func (r *Reduction) missing(dataSize int) bool {
	return len(r.Dropped) > 0 || r.DroppedMore > 0 || dataSize < r.DataSize
}

// missingData is what [Reduction] says, in the data of an event of a poison queue.
type missingData struct {
	Size        int      `json:"size"`
	DataSize    int      `json:"data_size"`
	DataSHA256  string   `json:"data_sha256"`
	Dropped     []string `json:"dropped"`
	DroppedMore int      `json:"dropped_more"`
}

func (m *missingData) reduction() *Reduction {
	return &Reduction{Size: m.Size, DataSize: m.DataSize, DataSHA256: m.DataSHA256, Dropped: m.Dropped, DroppedMore: m.DroppedMore}
}

// appendMissing appends the members of missingData.
func appendMissing(dst []byte, r *Reduction) []byte {
	dst = strconv.AppendInt(append(dst, `"size":`...), int64(r.Size), 10)
	dst = strconv.AppendInt(append(dst, `,"data_size":`...), int64(r.DataSize), 10)
	dst = append(append(dst, `,"data_sha256":"`...), r.DataSHA256...)
	dst = append(dst, `","dropped":[`...)
	for i, name := range r.Dropped {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendEscaped(append(dst, '"'), name), '"')
	}
	return strconv.AppendInt(append(dst, `],"dropped_more":`...), int64(r.DroppedMore), 10)
}
