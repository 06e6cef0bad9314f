package publish

import (
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// The states of an entry.
const (
	waiting uint32 = iota // nothing of it was sent
	begun                 // it may have been sent
	lapsed                // its outcome was told, and it still takes up room
	over
)

// Entry is an event that was admitted, until it is over.
type Entry[T any] struct {
	// Value is the adapter's own.
	Value T

	event leat.Event
	index int
	size  int
	state atomic.Uint32
	part  *part[T]
	queue atomic.Pointer[Queue[T]] // the last one that it was in

	// Guarded by the queue's lock.
	queued     bool
	prev, next *Entry[T]
}

// Event returns the event.
func (e *Entry[T]) Event() leat.Event { return e.event }

// Topic returns the topic that the event is published to.
func (e *Entry[T]) Topic() string { return e.part.batch.topic }

// Admitted returns when the event was admitted. Its deadline counts from then.
func (e *Entry[T]) Admitted() time.Time { return e.part.taken }

// Begin says that the event is about to be sent. It returns false when the event has its outcome
// and must not be sent. It is for entries that are in no [Queue], whose Next begins them, and for
// those that [Queue.Hold] has taken out.
func (e *Entry[T]) Begin() bool { return e.state.CompareAndSwap(waiting, begun) }

// Done is the end of the event, with the outcome that [Error] makes of err: the broker has
// answered, the connection was lost, or the event could not be sent. It frees the room, and tells
// the outcome unless that was told before, for which it returns false. The first Done counts, a
// second one has no effect.
func (e *Entry[T]) Done(err error) bool {
	switch e.state.Swap(over) {
	case waiting, begun:
		e.end(err)
		return true
	case lapsed:
		e.part.ledger.release(e.part, e.size)
	}
	return false
}

// Refuse is Done for an event that was not begun. Otherwise it returns false and has no effect.
func (e *Entry[T]) Refuse(err error) bool {
	if !e.state.CompareAndSwap(waiting, over) {
		return false
	}
	e.end(err)
	return true
}

// Told reports whether the outcome of the event was told, or is about to be. A begun event of which
// it is true is unknown to its publisher, and takes up room until Done.
func (e *Entry[T]) Told() bool { return e.state.Load() >= lapsed }

// end tells the outcome of an entry that was made over by the caller.
func (e *Entry[T]) end(err error) {
	if q := e.queue.Load(); q != nil {
		q.remove(e)
	}
	e.tell(err)
	e.part.ledger.release(e.part, e.size) // last: the entry may be used for something else then
}

func (e *Entry[T]) tell(err error) {
	b := e.part.batch
	if err != nil {
		err = Error(b.topic, e.event, err)
	}
	b.done(e.index, err)
}
