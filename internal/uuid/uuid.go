// Package uuid makes the UUIDs of events.
//
//	id := string(uuid.Append(nil, time.Now())) // version 7: ids sort by time
package uuid

import (
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// Len is the length of a UUID as text, in bytes.
const Len = 36

// Append appends a UUID of version 7 (RFC 9562 §5.7) for the time now. The 12 bits of rand_a hold
// the fraction of the millisecond (§6.2, method 3), so that ids of one process sort by time to a
// quarter of a microsecond without shared state; the other 62 bits are random.
func Append(dst []byte, now time.Time) []byte {
	var u [16]byte
	_, _ = rand.Read(u[8:]) // it never fails: without entropy the runtime ends the process
	ms := uint64(now.UnixMilli())
	sub := uint64(now.Nanosecond()%int(time.Millisecond)) << 12 / uint64(time.Millisecond)
	u[0], u[1], u[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	u[3], u[4], u[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	u[6] = 0x70 | byte(sub>>8)
	u[7] = byte(sub)
	u[8] = 0x80 | u[8]&0x3f
	return AppendText(dst, u)
}

// Hash returns a UUID of version 8 (RFC 9562 §5.8) made of the first bits of a hash.
func Hash(sum [sha256.Size]byte) string {
	u := [16]byte(sum[:16])
	u[6] = 0x80 | u[6]&0x0f
	u[8] = 0x80 | u[8]&0x3f
	return string(AppendText(nil, u))
}

// AppendText appends a UUID as text.
func AppendText(dst []byte, u [16]byte) []byte {
	const hex = "0123456789abcdef"
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hex[b>>4], hex[b&15])
	}
	return dst
}
