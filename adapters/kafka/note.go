package kafka

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// note is what a commit says besides its offset: which events above it are finished. It is in the
// commit's metadata, so whoever gets the partition next does not handle them again.
//
// The text is notePrefix and, in base64 (RFC 4648 §5, without padding): the first 8 bytes of the
// topic's id; as unsigned varints the committed offset, the epoch plus 1, and missing; for each
// span its length as a varint, and before that, where more than one offset lies before the span, 0
// and these minus 2; and the CRC-32 of all of that. So most spans, which are behind a single event
// that is not finished, take one byte, or two from a length of 128 on.
type note struct {
	topic   topicID
	base    int64 // the committed offset that the note belongs to
	epoch   int32 // no finished event is of a later leader epoch; -1 for unknown
	above   spans // above base
	missing int64 // finished events that did not fit
}

// topicID is the beginning of a topic's id, which tells a topic from one of the same name that was
// deleted. It is zero where the brokers have no ids.
type topicID [8]byte

func topicIDOf(id kadm.TopicID) (short topicID) {
	copy(short[:], id[:])
	return short
}

const (
	notePrefix = "leat3:"
	// mostNote is how long a note may be at most: the brokers' offset.metadata.max.bytes is 4096 by
	// default.
	mostNote = 4096
	// mostNotes bounds the notes of one commit, which a broker stores as one batch of at most 1 MiB
	// by default.
	mostNotes = 512 << 10
)

// encode returns the note as text of at most limit bytes, "" when nothing fits. The shortest spans
// are left out first; missing counts them.
func (n *note) encode(limit int) (text string, missing int64) {
	if text = n.text(); len(text) <= limit {
		return text, n.missing
	}
	longest := slices.Clone(n.above)
	slices.SortStableFunc(longest, func(a, b span) int { return cmp.Compare(b.to-b.from, a.to-a.from) })
	all := n.missing + n.above.count()
	text, missing = "", all
	for low, high := 0, len(longest); low+1 < high; { // low spans fit, high do not
		middle := (low + high) / 2
		some := *n
		some.above = slices.Clone(longest[:middle])
		slices.SortFunc(some.above, func(a, b span) int { return cmp.Compare(a.from, b.from) })
		some.missing = all - some.above.count()
		if t := some.text(); len(t) <= limit {
			low, text, missing = middle, t, some.missing
		} else {
			high = middle
		}
	}
	return text, missing
}

func (n *note) text() string {
	b := make([]byte, 0, 64+4*len(n.above))
	b = append(b, n.topic[:]...)
	b = binary.AppendUvarint(b, uint64(n.base))
	b = binary.AppendUvarint(b, uint64(n.epoch+1))
	b = binary.AppendUvarint(b, uint64(n.missing))
	at := n.base
	for _, s := range n.above {
		if gap := uint64(s.from - at); gap > 1 {
			b = binary.AppendUvarint(append(b, 0), gap-2)
		}
		b = binary.AppendUvarint(b, uint64(s.to-s.from))
		at = s.to
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return notePrefix + base64.RawURLEncoding.EncodeToString(b)
}

// parseNote reads a commit's metadata. ok is false for what Leat has not written, for versions that
// this one does not know, and for what is damaged: they say nothing.
func parseNote(text string) (n note, ok bool) {
	coded, isNote := strings.CutPrefix(text, notePrefix)
	b, err := base64.RawURLEncoding.DecodeString(coded)
	if !isNote || err != nil || len(b) < len(n.topic)+crc32.Size {
		return note{}, false
	}
	body, sum := b[:len(b)-crc32.Size], b[len(b)-crc32.Size:]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) {
		return note{}, false
	}
	r := numbers{rest: body[copy(n.topic[:], body):]}
	n.base, n.epoch, n.missing = int64(r.next(math.MaxInt64)), int32(r.next(math.MaxInt32))-1, int64(r.next(math.MaxInt64))
	n.above = make(spans, 0, len(r.rest)/2)
	for at := n.base; len(r.rest) > 0; {
		from, length := at+1, r.next(math.MaxInt64)
		if length == 0 {
			from += 1 + int64(r.next(math.MaxInt64-1))
			length = r.next(math.MaxInt64)
		}
		to := from + int64(length)
		if from <= at || to <= from {
			return note{}, false
		}
		n.above = append(n.above, span{from, to})
		at = to
	}
	return n, !r.failed
}

// numbers are unsigned varints that are read one after the other.
type numbers struct {
	rest   []byte
	failed bool // there was no more, or a larger one than may be
}

func (r *numbers) next(most uint64) uint64 {
	value, size := binary.Uvarint(r.rest)
	if size <= 0 || value > most {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return value
}
