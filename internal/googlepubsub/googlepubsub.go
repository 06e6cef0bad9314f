// Package googlepubsub is what the adapters to Google Cloud Pub/Sub know about it, without its
// client.
package googlepubsub

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit"
)

// Pub/Sub's limits of a message: its attributes, the bytes of their names and values, and those of
// its ordering key.
const (
	MostAttributes = 100
	MostNameBytes  = 256
	MostValueBytes = 1 << 10
	MostKeyBytes   = 1 << 10
)

// Empty is the attribute that tells empty data from no data.
const Empty = "leat-data"

// Name returns the name of a topic, or of the subscription of a topic and a group: as Leat has it
// where Pub/Sub takes that, and nothing else could be meant.
func Name(parts ...string) string {
	names := adapterkit.Names{MaxBytes: 255, MinBytes: 3, Punctuation: "-_.", LetterFirst: true, Reserved: []string{"goog"}}
	return names.Name(parts...)
}

// OrderingKey returns the ordering key of an event's key: the key, or its SHA-256 in hexadecimal
// digits where it is too long.
func OrderingKey(key string) string {
	if len(key) <= MostKeyBytes {
		return key
	}
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// Refused says what the code of gRPC means that Pub/Sub answers a publish with: why the events are
// certainly not stored, or 0 where nobody knows.
func Refused(code uint32) leat.Code {
	switch code {
	case 3, 9, 11: // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE
		return leat.CodeInvalid
	case 5: // NOT_FOUND
		return leat.CodeNotFound
	case 7: // PERMISSION_DENIED
		return leat.CodePermissionDenied
	case 8: // RESOURCE_EXHAUSTED
		return leat.CodeExhausted
	case 12: // UNIMPLEMENTED
		return leat.CodeUnsupported
	case 16: // UNAUTHENTICATED
		return leat.CodeUnauthenticated
	default: // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, ALREADY_EXISTS, ABORTED, INTERNAL, UNAVAILABLE, DATA_LOSS
		return 0
	}
}
