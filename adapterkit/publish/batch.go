package publish

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/leatgo/leat"
)

// Batch is the events of one Publish of an adapter.
type Batch[T any] struct {
	// Owner has the memory of the batch, where that is used again, and is nil otherwise. Release is
	// called when nothing refers to the batch and its entries any more, and not at all when one of
	// its events has expired or was open when the ledger was closed. A batch may have an owner only
	// if the adapter forgets an entry when it calls Done for it, which needs a client library that
	// answers for each message exactly once.
	Owner interface{ Release() }

	topic   string
	done    func(i int, err error)
	entries []Entry[T]
	users   atomic.Int32 // parts under way, and Admit
	first   part[T]      // the only one, unless there was no room for all events at once
	used    bool         // first is in use
}

// Batch returns an empty Batch for a Publish of at most n events, whose outcomes are told by done.
func (l *Ledger[T]) Batch(topic string, n int, done func(i int, err error)) *Batch[T] {
	if n == 1 {
		one := &struct {
			Batch[T]

			entries [1]Entry[T]
		}{}
		one.Reset(topic, one.entries[:], done)
		return &one.Batch
	}
	b := &Batch[T]{}
	b.Reset(topic, make([]Entry[T], n), done)
	return b
}

// Reset makes b an empty Batch whose entries are in room, which holds zero values only. It is for
// adapters with memory of their own; see Owner.
func (b *Batch[T]) Reset(topic string, room []Entry[T], done func(i int, err error)) {
	b.topic, b.done, b.entries, b.used = topic, done, room[:0], false
}

// Add appends an event, the one with the index i in the caller's events, and returns its entry,
// whose Value the adapter fills in. The entry stays where it is while the batch has no more than
// the n events of [Ledger.Batch].
func (b *Batch[T]) Add(i int, e leat.Event) *Entry[T] {
	n := len(b.entries)
	if n < cap(b.entries) {
		b.entries = b.entries[:n+1]
	} else {
		b.entries = append(b.entries, Entry[T]{})
	}
	added := &b.entries[n]
	added.event, added.index, added.size = e, i, e.Size()
	return added
}

// Refuse takes out the event that was added last, and tells its outcome. See [Error].
func (b *Batch[T]) Refuse(err error) {
	last := &b.entries[len(b.entries)-1]
	i, e := last.index, last.event
	*last = Entry[T]{}
	b.entries = b.entries[:len(b.entries)-1]
	b.done(i, Error(b.topic, e, err))
}

// part returns a part for the next entries.
func (b *Batch[T]) part() *part[T] {
	if b.used {
		return &part[T]{}
	}
	b.used = true
	return &b.first
}

// drop says that a user is done with b. The last one gives it back to its owner.
func (b *Batch[T]) drop() {
	if b.users.Add(-1) > 0 || b.Owner == nil {
		return
	}
	clear(b.entries)
	b.first.batch, b.first.entries = nil, nil
	b.topic, b.done, b.entries = "", nil, nil
	b.Owner.Release()
}

// Check returns why an adapter cannot publish an event that may have at most so many bytes, or nil.
func Check(e leat.Event, maxBytes int) error {
	switch {
	case e.IsZero():
		return &leat.Error{Code: leat.CodeInvalid, Err: errors.New("the zero Event is not an event")}
	case e.Size() > maxBytes:
		return &leat.Error{Code: leat.CodeTooLarge,
			Err: fmt.Errorf("the event has %d bytes; at most %d are allowed", e.Size(), maxBytes)}
	}
	return nil
}
