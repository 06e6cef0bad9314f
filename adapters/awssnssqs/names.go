package awssnssqs

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"strings"
)

const (
	fifoSuffix = ".fifo"
	// What SQS and SNS allow, ".fifo" left out.
	mostQueueName = 80 - len(fifoSuffix)
	mostTopicName = 256 - len(fifoSuffix)
	// mostGroupID is the longest message group id.
	mostGroupID = 128
	// keyless begins the group ids of events without a key. What has one is not delivered with a
	// transport key.
	keyless = "leat:"
)

// name joins a topic, and perhaps a group, with '-'. A dot, which AWS does not take, becomes '_', a
// long name is cut, and after either of these '-' and 8 hexadecimal digits of a SHA-256 of the
// parts follow. Two lists of parts may have the same name, as a-b with c and a with b-c: tags tell
// whose a queue is.
func name(most int, fifo bool, parts ...string) string {
	joined := strings.Join(parts, "-")
	of := strings.ReplaceAll(joined, ".", "_") // the rest of what Leat takes is legal
	if of != joined || len(of) > most {
		h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
		of = of[:min(len(of), most-9)] + "-" + hex.EncodeToString(h[:4])
	}
	if fifo {
		of += fifoSuffix
	}
	return of
}

// groupID returns the message group id of a key: the key where it is legal, else its SHA-256 in
// hexadecimal digits. An event without a key gets a group of its own.
func groupID(key string) string {
	switch {
	case key == "":
		id := append(make([]byte, 0, len(keyless)+26), keyless...)
		return string(strconv.AppendUint(strconv.AppendUint(id, rand.Uint64(), 36), rand.Uint64(), 36))
	case legalGroupID(key):
		return key
	}
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// legalGroupID reports whether AWS takes a text as a message group id: printable ASCII without
// space.
func legalGroupID(s string) bool {
	if s == "" || len(s) > mostGroupID {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// keyOf returns the transport's key that a message group id is, or nil. An event of Leat has its
// key in itself, so the hash of one never becomes another.
func keyOf(groupID string) []byte {
	if groupID == "" || strings.HasPrefix(groupID, keyless) {
		return nil
	}
	return []byte(groupID)
}
