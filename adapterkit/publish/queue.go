package publish

import (
	"context"
	"sync"
)

// Queue is entries that wait to be sent, in order. Those that get their outcome meanwhile leave it
// by themselves. The zero Queue is empty and ready for use; it must not be copied. All methods may
// be called from several goroutines at once.
type Queue[T any] struct {
	mu          sync.Mutex
	first, last *Entry[T]
	ready       chan struct{} // nil until Take waits
}

// Push appends an entry, unless it has its outcome.
func (q *Queue[T]) Push(e *Entry[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link(e, q.last, nil)
	if e.Told() { // who made it so did not see the queue, or waits for the lock
		q.unlink(e)
	}
}

// Next takes the first entry out and begins it. It returns nil when the queue is empty, or when
// want is not nil and returns false for the first entry, which then stays. want is called under the
// queue's lock.
func (q *Queue[T]) Next(want func(e *Entry[T]) bool) *Entry[T] { return q.out(want, true) }

// Hold is Next for an adapter that begins the entry later, by [Entry.Begin], because something that
// takes long comes before the first byte, such as a token. Until then the entry is in no queue, and
// may get its outcome all the same. Put it back if it is not to be sent now. It is not for a
// [Batch] with an Owner, which may have the entry again by then.
func (q *Queue[T]) Hold(want func(e *Entry[T]) bool) *Entry[T] { return q.out(want, false) }

// out takes the first entry out. It begins it under the lock: an entry that is told waits for the
// lock before its batch may use it again, and one that is begun is not told by others.
func (q *Queue[T]) out(want func(e *Entry[T]) bool, begin bool) *Entry[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.first != nil {
		e := q.first
		if want != nil && !e.Told() && !want(e) {
			return nil
		}
		q.unlink(e)
		if begin && e.Begin() || !begin && !e.Told() {
			return e
		}
	}
	return nil
}

// Take waits for entries, and takes out and begins as many as there are for one request: up to a
// number and to a sum of bytes as [leat.Event.Size] counts them, where a single entry may be
// larger. It returns them with their values, and nothing when ctx has ended. One goroutine at a
// time calls it.
func (q *Queue[T]) Take(ctx context.Context, most, bytes int) (entries []*Entry[T], values []T) {
	want := func(e *Entry[T]) bool { return len(entries) == 0 || len(entries) < most && e.size <= bytes }
	for ctx.Err() == nil {
		for e := q.Next(want); e != nil; e = q.Next(want) {
			entries, values = append(entries, e), append(values, e.Value)
			bytes -= e.size
		}
		if len(entries) > 0 {
			break
		}
		select {
		case <-q.filled():
		case <-ctx.Done():
		}
	}
	return entries, values
}

// filled returns a channel that holds a token when entries may have come to an empty queue.
func (q *Queue[T]) filled() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ready == nil {
		q.ready = make(chan struct{}, 1)
	}
	q.signal()
	return q.ready
}

// signal puts a token into ready, if there is something to take. The lock is held.
func (q *Queue[T]) signal() {
	if q.ready == nil || q.first == nil {
		return
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// PutBack puts an entry of which certainly nothing was sent to the front of the queue, whether it
// was begun or not. Several are put back from the last to the first. It returns false when the
// entry has its outcome, and is over.
func (q *Queue[T]) PutBack(e *Entry[T]) bool {
	q.mu.Lock()
	q.link(e, nil, q.first)
	back := e.state.CompareAndSwap(begun, waiting) || !e.Told()
	if !back {
		q.unlink(e)
	}
	q.mu.Unlock()
	if !back {
		e.Done(nil)
	}
	return back
}

// Refuse refuses the entries that are wanted, in order. A nil wanted means all of them. wanted is
// called under the queue's lock.
func (q *Queue[T]) Refuse(err error, wanted func(e *Entry[T]) bool) {
	var all []*Entry[T]
	q.mu.Lock()
	for e := q.first; e != nil; {
		next := e.next
		if (wanted == nil || wanted(e)) && e.state.CompareAndSwap(waiting, over) {
			q.unlink(e)
			all = append(all, e)
		}
		e = next
	}
	q.mu.Unlock()
	for _, e := range all {
		e.end(err)
	}
}

// Empty reports whether no entry waits.
func (q *Queue[T]) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first == nil
}

func (q *Queue[T]) remove(e *Entry[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.queued {
		q.unlink(e)
	}
}

// link puts e between two entries. The lock is held.
func (q *Queue[T]) link(e, prev, next *Entry[T]) {
	e.queue.Store(q)
	e.queued, e.prev, e.next = true, prev, next
	if prev != nil {
		prev.next = e
	} else {
		q.first = e
	}
	if next != nil {
		next.prev = e
	} else {
		q.last = e
	}
	q.signal()
}

// unlink takes e out. The lock is held.
func (q *Queue[T]) unlink(e *Entry[T]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	e.queued, e.prev, e.next = false, nil, nil
}
