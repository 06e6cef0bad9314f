package adapterkit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Names is what a broker lets a name be. Beside the bytes that it lists, letters and digits of
// ASCII are allowed.
type Names struct {
	// MaxBytes is the most bytes of a name, 20 or more; less counts as 20. 0 means 80, which SQS
	// allows. Leave out what the adapter adds, such as ".fifo".
	MaxBytes int
	// MinBytes is the least bytes of a name, up to 9. 0 means 1.
	MinBytes int
	// Punctuation is which other bytes are allowed. It needs '-'. Empty means "-_".
	Punctuation string
	// LetterFirst says that a name begins with a letter.
	LetterFirst bool
	// Reserved are beginnings that the broker keeps for itself, such as "goog" of Pub/Sub, in lower
	// case. They are found in any case.
	Reserved []string
}

// hashBytes is '-' and 8 hexadecimal digits.
const hashBytes = 1 + 8

// leastBytes leaves room for a hash and something to read.
const leastBytes = 20

// Name returns the broker's name for parts: of a topic alone, or of a topic and a group. It is the
// parts with a separator in between, '_' where that is allowed and '-' elsewhere, if the broker
// takes that and nothing else could be meant by it. Otherwise each byte that is not allowed is
// replaced by '-', the name is cut, and '-' and 8 hexadecimal digits of the SHA-256 of all parts
// follow.
//
// Two different lists of equally many parts have different names, unless both need a hash and the
// 32 bits of theirs are equal. The same parts have the same name in every version.
func (n Names) Name(parts ...string) string {
	separator := "-"
	if n.allows('_') {
		separator = "_"
	}
	joined := strings.Join(parts, separator)
	distinct := len(parts) == 1 || strings.Count(joined, separator) == len(parts)-1 // where each part ends
	if distinct && n.fits(joined) && !looksHashed(joined) {
		return joined
	}
	name := []byte(joined)
	for i, c := range name {
		if !n.allows(c) {
			name[i] = '-'
		}
	}
	if n.taken(string(name)) {
		name = append([]byte("x-"), name...)
	}
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	name = name[:min(len(name), n.most()-hashBytes)]
	return string(name) + "-" + hex.EncodeToString(h.Sum(nil)[:4])
}

func (n Names) most() int {
	if n.MaxBytes == 0 {
		return 80
	}
	return max(n.MaxBytes, leastBytes)
}

func (n Names) allows(c byte) bool {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
		return true
	}
	if n.Punctuation == "" {
		return c == '-' || c == '_'
	}
	return strings.IndexByte(n.Punctuation, c) >= 0
}

// fits reports whether the broker takes a name.
func (n Names) fits(name string) bool {
	if len(name) < max(n.MinBytes, 1) || len(name) > n.most() || n.taken(name) {
		return false
	}
	for i := range len(name) {
		if !n.allows(name[i]) {
			return false
		}
	}
	return true
}

// taken reports whether a name begins as it must not.
func (n Names) taken(name string) bool {
	if name == "" || n.LetterFirst && (name[0] < 'A' || name[0] > 'Z' && name[0] < 'a' || name[0] > 'z') {
		return true
	}
	lower := strings.ToLower(name)
	for _, r := range n.Reserved {
		if strings.HasPrefix(lower, r) {
			return true
		}
	}
	return false
}

// looksHashed reports whether a name ends as those that Name makes with a hash: such a name gets
// one itself, so that no name is both.
func looksHashed(name string) bool {
	if len(name) < hashBytes || name[len(name)-hashBytes] != '-' {
		return false
	}
	for _, c := range []byte(name[len(name)-hashBytes+1:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
