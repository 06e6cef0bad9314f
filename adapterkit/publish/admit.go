package publish

import (
	"context"
	"slices"
)

// waiter is an Admit in line. Only the first of the line may take room.
type waiter struct {
	// ready holds a token when the waiter is first and may find room, or when the ledger is closed.
	ready chan struct{}
	size  int // of its next event
}

func (w *waiter) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Admit waits for room for the events of a batch, and calls accept with their entries, in order and
// in as many parts as there is room for at a time. What was admitted is accepted before Admit
// returns; accept does not block. When ctx ends or the ledger is closed, Admit refuses the events
// that are left, with [leat.CodeCanceled] or [leat.CodeClosed].
//
// The entries belong to the ledger and are valid until they are over. The batch must not be used
// again, unless it has an Owner, which says when.
func (l *Ledger[T]) Admit(ctx context.Context, b *Batch[T], accept func(entries []Entry[T])) {
	b.users.Add(1)
	defer b.drop()
	var w *waiter // nil while there was room
	for rest := b.entries; len(rest) > 0; {
		var n int
		var err error
		n, w, err = l.admit(ctx, b, rest, w)
		if err != nil {
			for i := range rest {
				b.done(rest[i].index, Error(b.topic, rest[i].event, err))
			}
			return
		}
		accept(rest[:n:n])
		rest = rest[n:]
	}
}

// admit takes as many of the entries as there is room for, at least one, waits for that, and
// returns how many. While some are left, w is in line, for a turn of its own: a large batch does
// not keep small ones waiting.
func (l *Ledger[T]) admit(ctx context.Context, b *Batch[T], entries []Entry[T], w *waiter) (int, *waiter, error) {
	for err := ctx.Err(); ; err = ctx.Err() {
		l.mu.Lock()
		switch {
		case l.closed:
			err = closed()
		case err != nil && w == nil:
			err = l.o.canceled(ctx)
		case err != nil:
			err = l.o.full(ctx)
		}
		n := 0
		if err == nil && (len(l.line) == 0 || l.line[0] == w) {
			n = l.room(entries)
		}
		if n > 0 {
			l.take(b.part(), b, entries[:n:n])
		}
		if err != nil || n > 0 {
			l.leave(w)
		}
		if err == nil && n < len(entries) && (w == nil || n > 0) {
			w = l.join(w, entries[n].size)
		}
		l.mu.Unlock()
		if err != nil || n > 0 {
			return n, w, err
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
		}
	}
}

// room returns how many of the entries may be taken now.
func (l *Ledger[T]) room(entries []Entry[T]) int {
	events, bytes := l.events.Load(), l.bytes.Load()
	for n := range entries {
		if !l.fits(events, bytes, entries[n].size) {
			return n
		}
		events++
		bytes += int64(entries[n].size)
	}
	return len(entries)
}

// fits reports whether one more event fits beside others.
func (l *Ledger[T]) fits(events, bytes int64, size int) bool {
	return events == 0 || events < int64(l.o.Events) && bytes+int64(size) <= int64(l.o.Bytes)
}

// join puts w, which is made where it is nil, at the end of the line. The lock is held.
func (l *Ledger[T]) join(w *waiter, size int) *waiter {
	if w == nil {
		w = &waiter{ready: make(chan struct{}, 1)}
	}
	w.size = size
	l.line = append(l.line, w)
	l.queueing.Store(true)
	l.offerRoom() // what left before queueing was set offered its room to nobody
	return w
}

// leave takes w out of the line, if it is there, and lets the next one try. The lock is held.
func (l *Ledger[T]) leave(w *waiter) {
	if i := slices.Index(l.line, w); i >= 0 {
		l.line = slices.Delete(l.line, i, i+1)
		l.queueing.Store(len(l.line) > 0)
		l.offerRoom()
	}
}

// offerRoom lets the first in line try, if it may find room. The lock is held.
func (l *Ledger[T]) offerRoom() {
	if len(l.line) > 0 && l.fits(l.events.Load(), l.bytes.Load(), l.line[0].size) {
		l.line[0].signal()
	}
}
