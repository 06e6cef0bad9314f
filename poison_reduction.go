package leat

import (
	"strconv"

	"github.com/leatgo/leat/internal/jsontext"
)

// Reduction says what is missing of an event or a malformed delivery that did not fit into its poison queue whole. It is what
// [PoisonedFrom] reads from the reduced form, in which Leat writes what does not fit as it is.
//
// The reduced form of an event is one of type leat.reduced.v1, which no handler takes for the original. Its id and source are the
// original's where they have at most 256 bytes each; else the id is a UUIDv8 of the SHA-256 of both and the source is
// "/leat/<topic>/<group>". Its JSON data has the original in the CloudEvents JSON format as the member event, and the members size,
// data_size, data_sha256, dropped and dropped_more, as the fields here. When all of the original fits in this form, nothing is missing.
// Else its data is cut at the end, and attributes that do not fit are left out, extensions first.
//
// The reduced form of a malformed delivery has the type of the whole one, leat.malformed.v1, and the same members of its data: headers
// that do not fit are left out, and key and body are cut at their ends. key_size is the size of the whole key, and data_size, data_sha256
// are those of the body.
type Reduction struct {
	// Event is what is left of an event; the zero Event for a malformed delivery. A required attribute that is missing is that
	// of the event in the poison queue.
	Event Event
	// Size is the size in bytes of the whole, as [Event.Size] or [Malformed.Size] counts it.
	Size int
	// DataSize is how many bytes the whole data or body has, and DataSHA256 their hash in hexadecimal.
	DataSize   int
	DataSHA256 string
	// KeySize is how many bytes the whole key of a malformed delivery has.
	KeySize int
	// Dropped names the attributes or headers that are missing, each cut to 128 bytes.
	Dropped []string
	// DroppedMore is how many are missing whose names did not fit either.
	DroppedMore int
}

// drop notes that an attribute or header is missing, with its name as far as room has bytes for names.
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
