package load

import (
	"encoding/base64"
	"math/rand/v2"
	"strconv"
	"time"
)

// What every party's events carry.
const (
	Source      = "/shop/checkout"
	Type        = "com.example.order.placed.v1"
	Subject     = "orders/4711"
	ContentType = "application/json"

	// Keys is how many keys the events have, in turn.
	Keys = 10_000
	// bodies is how many different bodies there are: as many as are in flight, so that a party that
	// does not copy them finds them in the processor's cache no more often than a service that has
	// just made them.
	bodies = 10_000
)

// Time is a fixed time, so that every run writes the same bytes. Every party formats it for each
// event.
func Time() time.Time { return time.Date(2026, time.March, 1, 12, 30, 15, 123456789, time.UTC) }

// Names are the ids, keys and bodies of events, made once for all cases, so that a party pays for
// the event alone.
type Names struct {
	ids    string // of idBytes each, one after the other: no pointers that the collector has to follow
	keys   []string
	bodies [][]byte
}

const (
	idPrefix = "0190a3c4-7d1e-7000-8000-"
	idBytes  = len(idPrefix) + 12 // the length of a UUID
)

// NewNames returns the names of that many events.
func NewNames(events int) *Names {
	n := &Names{keys: make([]string, Keys), bodies: make([][]byte, bodies)}
	ids := make([]byte, 0, events*idBytes)
	for i := range events {
		ids = appendID(ids, i)
	}
	n.ids = string(ids)
	for i := range n.keys {
		n.keys[i] = "customer-" + strconv.Itoa(1_000_000+i)
	}
	random := rand.NewChaCha8([32]byte{1})
	for i := range n.bodies {
		n.bodies[i] = body(random)
	}
	return n
}

func appendID(b []byte, i int) []byte {
	digits := strconv.Itoa(i)
	return append(append(append(b, idPrefix...), "000000000000"[len(digits):]...), digits...)
}

// body returns a JSON object of 1 KiB that hardly compresses.
func body(random *rand.ChaCha8) []byte {
	const head, tail = `{"order":"`, `"}`
	noise := make([]byte, 759)
	_, _ = random.Read(noise) // never fails
	b := base64.StdEncoding.AppendEncode([]byte(head), noise)
	return append(b, tail...)
}

// At returns the names of event i.
func (n *Names) At(i int) (id, key string, data []byte) {
	return n.ids[i*idBytes : (i+1)*idBytes], n.keys[i%Keys], n.bodies[i%bodies]
}

// Endless is At for any number; it makes the id.
func (n *Names) Endless(i int) (id, key string, data []byte) {
	return string(appendID(nil, i)), n.keys[i%Keys], n.bodies[i%bodies]
}

// IndexOf returns the number of the event with that id, or -1.
func IndexOf[T ~string | ~[]byte](id T) int {
	if len(id) != idBytes {
		return -1
	}
	n := 0
	for i := len(idPrefix); i < idBytes; i++ {
		n = 10*n + int(id[i]-'0')
	}
	return n
}

// Len returns how many events have names.
func (n *Names) Len() int { return len(n.ids) / idBytes }
