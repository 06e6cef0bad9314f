package kafka

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// note is what a commit says besides its offset: which events above it are finished. It is in the commit's metadata, so whoever gets the
// partition next does not handle them again.
//
// The text is notePrefix and, in base64 (RFC 4648 §5, without padding): the first 8 bytes of the topic's id; as unsigned varints the
// committed offset, the epoch plus 1, missing, and the number of spans; a byte with two orders, of gaps and of lengths; for each
// span the gap before it and its length, each minus 1 and in Exp-Golomb code of its order; and the CRC-32 of all of that. The lengths of
// runs are mostly short with a few long ones, for which this code comes close to what a compressor and a bitmap achieve.
type note struct {
	topic   topicID
	base    int64 // the committed offset that the note belongs to
	epoch   int32 // no finished event is of a later leader epoch; -1 for unknown
	above   spans // above base
	missing int64 // finished events that did not fit
}

// topicID is the beginning of a topic's id, which tells a topic from one of the same name that was deleted. It is zero where the brokers
// have no ids.
type topicID [8]byte

func topicIDOf(id kadm.TopicID) (short topicID) {
	copy(short[:], id[:])
	return short
}

const (
	notePrefix = "leat1:"
	// mostNote is how long a note may be at most: the brokers' offset.metadata.max.bytes is 4096 by default.
	mostNote = 4096
	// mostNotes bounds the notes of one commit, which a broker stores as one batch of at most 1 MiB by default.
	mostNotes = 512 << 10
	mostOrder = 15
)

// encode returns the note as text of at most limit bytes, "" when nothing fits. The shortest spans are left out first; missing counts them.
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
	b = binary.AppendUvarint(b, uint64(len(n.above)))
	gaps, lengths := n.orders()
	b = append(b, byte(gaps<<4|lengths))
	w := bitWriter{bytes: b}
	at := n.base
	for _, s := range n.above {
		w.golomb(uint64(s.from-at-1), gaps)
		w.golomb(uint64(s.to-s.from-1), lengths)
		at = s.to
	}
	b = w.bytes
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return notePrefix + base64.RawURLEncoding.EncodeToString(b)
}

// orders returns the orders that make gaps and lengths the shortest.
func (n *note) orders() (gaps, lengths uint) {
	var gapBits, lengthBits [mostOrder + 1]int
	at := n.base
	for _, s := range n.above {
		for k := range uint(mostOrder + 1) {
			gapBits[k] += golombBits(uint64(s.from-at-1), k)
			lengthBits[k] += golombBits(uint64(s.to-s.from-1), k)
		}
		at = s.to
	}
	for k := range uint(mostOrder + 1) {
		if gapBits[k] < gapBits[gaps] {
			gaps = k
		}
		if lengthBits[k] < lengthBits[lengths] {
			lengths = k
		}
	}
	return gaps, lengths
}

// parseNote reads a commit's metadata. ok is false for what Leat has not written, for versions that this one does not know, and for what
// is damaged: they say nothing.
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
	body = body[copy(n.topic[:], body):]
	var numbers [4]uint64
	for i := range numbers {
		value, size := binary.Uvarint(body)
		if size <= 0 || value > math.MaxInt64 {
			return note{}, false
		}
		numbers[i], body = value, body[size:]
	}
	if len(body) == 0 || numbers[1] > math.MaxInt32 || numbers[3] > uint64(len(body))*8 {
		return note{}, false
	}
	n.base, n.epoch, n.missing = int64(numbers[0]), int32(numbers[1])-1, int64(numbers[2])
	gaps, lengths := uint(body[0]>>4), uint(body[0]&15)
	r := bitReader{bytes: body[1:]}
	n.above = make(spans, 0, numbers[3])
	for at := n.base; uint64(len(n.above)) < numbers[3]; {
		gap, length := r.golomb(gaps), r.golomb(lengths)
		from := at + 1 + int64(gap)
		to := from + 1 + int64(length)
		if r.failed || from <= at || to <= from {
			return note{}, false
		}
		n.above = append(n.above, span{from, to})
		at = to
	}
	return n, true
}

// golombBits is how long a value is in Exp-Golomb code of an order.
func golombBits(value uint64, order uint) int {
	return 2*bits.Len64(value>>order+1) - 1 + int(order)
}

// bitWriter appends bits, the highest of each byte first.
type bitWriter struct {
	bytes []byte
	free  uint // bits of the last byte that are not used
}

func (w *bitWriter) bits(value uint64, n uint) {
	for n > 0 {
		if w.free == 0 {
			w.bytes = append(w.bytes, 0)
			w.free = 8
		}
		take := min(n, w.free)
		chunk := byte(value >> (n - take) & (1<<take - 1))
		w.bytes[len(w.bytes)-1] |= chunk << (w.free - take)
		n -= take
		w.free -= take
	}
}

func (w *bitWriter) golomb(value uint64, order uint) {
	high := value>>order + 1
	n := uint(bits.Len64(high))
	w.bits(0, n-1)
	w.bits(high, n)
	w.bits(value, order)
}

// bitReader reads what a bitWriter wrote. failed says that there was no more, or nothing that it would write.
type bitReader struct {
	bytes  []byte
	at     uint // in bits
	failed bool
}

func (r *bitReader) bit() uint64 {
	if r.at>>3 >= uint(len(r.bytes)) {
		r.failed = true
		return 0
	}
	bit := r.bytes[r.at>>3] >> (7 - r.at&7) & 1
	r.at++
	return uint64(bit)
}

func (r *bitReader) golomb(order uint) uint64 {
	n := uint(0)
	for r.bit() == 0 {
		if n++; r.failed || n+order > 61 {
			r.failed = true
			return 0
		}
	}
	value := uint64(1)
	for range n {
		value = value<<1 | r.bit()
	}
	value--
	for range order {
		value = value<<1 | r.bit()
	}
	return value
}
