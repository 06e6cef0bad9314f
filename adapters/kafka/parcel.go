package kafka

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// parcel is what the events of one Publish are encoded into. It is used again when the client has answered for all of its records: from
// then on the client does not touch them. Without that, every event would cost its records in fresh memory, and the collector's work that
// goes with it.
type parcel struct {
	encoder encoder
	records []record
	first   call         // the only one, unless there was no room for all records at once
	begun   bool         // first is in use
	users   atomic.Int32 // calls under way, and Publish itself
	class   int
}

// parcelPools keep parcels by the power of two of their events, so that an event on its own does not hold the memory of a thousand.
type parcelPools [14]sync.Pool

// mostKeptBytes is how much encoded text a kept parcel may have for each event of its class. It bounds what the pools hold to a few times
// the smaller of Buffer and BufferBytes; for larger events, allocating is not what costs.
const mostKeptBytes = 4 << 10

// take returns a parcel with room for the events.
func (p *parcelPools) take(events []leat.Event, trace *leat.TraceContext, o *Options) *parcel {
	class := bits.Len(uint(max(len(events)-1, 0)))
	var b *parcel
	if class < len(p) {
		b, _ = p[class].Get().(*parcel)
	}
	if b == nil {
		b = newParcel(len(events), class)
	}
	b.encoder.most = o.MaxMessageBytes
	b.encoder.begin(events, o.Structured, !o.NoRecordKey, trace)
	b.users.Store(1)
	return b
}

func newParcel(events, class int) *parcel {
	switch {
	case class == 0: // all in one piece
		one := &struct {
			parcel

			records [1]record
			headers [typicalHeaders]kgo.RecordHeader
		}{}
		one.parcel.records, one.encoder.headers = one.records[:], one.headers[:0]
		return &one.parcel
	case class < len(parcelPools{}):
		events = 1 << class
	}
	return &parcel{class: class, records: make([]record, events)}
}

// drop says that a user of b is done with it. The last one puts it back.
func (p *parcelPools) drop(b *parcel) {
	if b.users.Add(-1) > 0 || b.class >= len(p) || cap(b.encoder.text) > mostKeptBytes<<b.class {
		return
	}
	clear(b.records)
	b.encoder.reset()
	b.records, b.begun = b.records[:0], false
	b.first.reset()
	p[b.class].Put(b)
}

// call returns a call for the next records.
func (b *parcel) call() *call {
	c := &b.first
	if b.begun {
		c = &call{}
	}
	b.begun, c.parcel = true, b
	return c
}
