package poison

import (
	"crypto/sha256"
	"fmt"

	"github.com/leatgo/leat"
)

// identity tells the events of a poison queue apart, also on a broker that numbers nothing. An
// event that was put back is another one, by its Replays.
type identity [16]byte

func identityOf(e Entry) (id identity) {
	var text []byte
	if m := e.Malformed; m != nil && e.Err != nil {
		text = fmt.Appendf(nil, "malformed %q %q %q", m.Headers, m.Key, m.Body)
	} else {
		own := e.Event
		if e.Malformed != nil || e.Reduced != nil {
			own = e.Stored
		}
		text = fmt.Appendf(nil, "%q %q %q %q %q %d",
			own.Source(), own.ID(), e.Info.Topic, e.Info.Group, positionOf(e.Info.Position), e.Replays)
	}
	sum := sha256.Sum256(text)
	copy(id[:], sum[:])
	return id
}

func positionOf(p leat.Position) string {
	if p == (leat.Position{}) {
		return ""
	}
	return p.String()
}

// due is what is still to be done, 40 bytes for each event. An event may be in a queue twice.
type due struct {
	ids map[identity]int
	n   int // how many are left
	all int // how many there were
}

func (d *due) add(id identity) {
	if d.ids == nil {
		d.ids = map[identity]int{}
	}
	d.ids[id]++
	d.n++
	d.all++
}

func (d *due) has(id identity) bool { return d.ids[id] > 0 }

func (d *due) remove(id identity) {
	switch d.ids[id] {
	case 0:
		return
	case 1:
		delete(d.ids, id)
	default:
		d.ids[id]--
	}
	d.n--
}

// sizeOf is about what an event counts against MaxHeldBytes.
func sizeOf(e Entry) int {
	if m := e.Malformed; m != nil && e.Err != nil {
		return len(m.Key) + len(m.Body)
	}
	return e.Stored.Size()
}
