package lease

import (
	"context"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/backoff"
)

// lane is messages that the broker is to be told about, in order. Keeper.mu guards it.
type lane[K comparable, T any] struct {
	queue   []*Message[K, T]
	workers int
	most    int           // workers
	open    int           // in the queue and on their way
	idle    chan struct{} // closed when open falls to 0; nil while nobody waits
}

// enqueue appends a message. The lock is held.
func (k *Keeper[K, T]) enqueue(l *lane[K, T], m *Message[K, T]) {
	l.queue = append(l.queue, m)
	l.open++
	if l.workers == 0 || l.workers < l.most && len(l.queue) >= k.o.MaxBatch {
		l.workers++
		k.tasks.Go(func() { k.work(l) })
	}
}

// wait waits until a lane is empty.
func (k *Keeper[K, T]) wait(ctx context.Context, l *lane[K, T]) error {
	k.mu.Lock()
	if l.open == 0 {
		k.mu.Unlock()
		return nil
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	k.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close takes a message out of what is open. The lock is held.
func (l *lane[K, T]) close() {
	if l.open--; l.open == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// work sends batches until the lane is empty.
func (k *Keeper[K, T]) work(l *lane[K, T]) {
	policy := backoff.Policy{Initial: 100 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: 0.2}
	for failures := 0; ; {
		k.linger(l)
		batch, op := k.next(l)
		if len(batch) == 0 {
			return
		}
		if k.sendBatch(l, batch, op) {
			failures = 0
			continue
		}
		failures++
		k.sleep(policy.Delay(failures, nil))
	}
}

// linger waits for others to go with what waits.
func (k *Keeper[K, T]) linger(l *lane[K, T]) {
	k.mu.Lock()
	full := len(l.queue) == 0 || len(l.queue) >= k.o.MaxBatch || k.closed
	k.mu.Unlock()
	if !full && k.o.Linger > 0 {
		k.sleep(k.o.Linger)
	}
}

func (k *Keeper[K, T]) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.ctx.Done():
	}
}

// next takes the next batch of a lane: messages with the same op whose leases last. A worker that
// gets none has ended.
func (k *Keeper[K, T]) next(l *lane[K, T]) (batch []*Message[K, T], op Op) {
	used, dropped := 0, 0
	k.mu.Lock()
	defer func() {
		k.mu.Unlock()
		k.freed(dropped)
	}()
	batch = make([]*Message[K, T], 0, min(len(l.queue), k.o.MaxBatch))
	for _, m := range l.queue {
		if len(batch) == k.o.MaxBatch || len(batch) > 0 && (m.op != op || m.awaits()) {
			break
		}
		k.awaitExtension(l, m)
		used++
		if k.ctx.Err() != nil || !k.lasts(m) { // L6: it is not sent
			l.close()
			if m.op == GiveBack && k.held[m.id] == m {
				delete(k.held, m.id)
				dropped++
			}
			continue
		}
		op, m.busy = m.op, true
		batch = append(batch, m)
	}
	left := copy(l.queue, l.queue[used:])
	clear(l.queue[left:])
	l.queue = l.queue[:left] // its memory serves the next messages
	if len(batch) == 0 {
		l.workers--
	}
	return batch, op
}

// awaits reports whether a message is given back while it is extended. The broker might handle the
// extension after the give-back, and hide the message for another term. Keeper.mu is held.
func (m *Message[K, T]) awaits() bool { return m.op == GiveBack && m.extension != nil }

// longestAwait is how long a give-back waits for an extension. One that takes longer costs a term
// at worst; to wait for it would keep back everything else.
const longestAwait = 500 * time.Millisecond

// awaitExtension waits for the extension that is under way of a message of the lane that is given
// back. It lets go of the lock meanwhile: the lane of give-backs has one worker, so nobody else
// takes from its queue.
func (k *Keeper[K, T]) awaitExtension(l *lane[K, T], m *Message[K, T]) {
	if !m.awaits() {
		return
	}
	under := m.extension
	k.mu.Unlock()
	timer := time.NewTimer(longestAwait)
	select {
	case <-under:
	case <-timer.C:
	case <-k.ctx.Done():
	}
	timer.Stop()
	k.mu.Lock()
	for _, m := range l.queue { // they have waited as well
		if m.extension == under {
			m.extension = nil
		}
	}
}

// lasts reports whether something may still be sent of a message. The lock is held.
func (k *Keeper[K, T]) lasts(m *Message[K, T]) bool {
	if m.op != GiveBack {
		return !m.Lease().Ended() && k.held[m.id] == m
	}
	if m.deadline.IsZero() { // its lease has not ended for the give-back yet, unless by Close
		m.deadline = k.deadline(m)
		if k.held[m.id] != m {
			return false
		}
	}
	if other := k.held[m.id]; other != nil && other != m {
		return false // a give-back of the old delivery might give back the new one
	}
	return time.Now().Before(m.deadline)
}

// deadline is when the lease of a message ends by its time.
func (k *Keeper[K, T]) deadline(m *Message[K, T]) time.Time { return k.deadlineOf(m.lease.ExtendAt()) }

// deadlineOf is deadline for a lease that is to be extended at a moment.
func (k *Keeper[K, T]) deadlineOf(extendAt time.Time) time.Time {
	return extendAt.Add(k.o.Term - k.o.Term/10 - k.o.Term/2)
}

// sendBatch tells the broker about messages, and reports whether it confirmed any of it.
func (k *Keeper[K, T]) sendBatch(l *lane[K, T], batch []*Message[K, T], op Op) (some bool) {
	if op == GiveBack {
		for _, m := range batch {
			m.Lease().End(nil) // L3
			k.forget(m)
		}
		k.freed(len(batch))
	}
	entries, versions, until := k.entries(batch, op)
	errs := k.send(op, entries, until)
	var lost []*Message[K, T]
	var cause error
	var again []*Message[K, T]
	over := make([]*Message[K, T], 0, len(batch))
	k.mu.Lock()
	for i, m := range batch {
		m.busy = false
		err, came := at(errs, i), m.version > versions[i]
		switch {
		case err == nil && !came:
			if k.held[m.id] == m {
				delete(k.held, m.id)
			}
			over, some = append(over, m), true
			l.close()
		case leat.CodeOf(err) == leat.CodeLeaseLost && !came:
			lost, cause, some = append(lost, m), err, true
			l.close()
		case k.ctx.Err() != nil || !k.lasts(m):
			l.close()
		default: // it goes again, with the value of now
			some = some || err == nil
			again = append(again, m)
		}
	}
	if op == GiveBack { // in order
		l.queue = append(again, l.queue...)
	} else {
		l.queue = append(l.queue, again...)
	}
	k.mu.Unlock()
	for _, m := range over {
		m.Lease().End(nil) // L7
	}
	if op != GiveBack {
		k.lose(lost, cause)
		k.freed(len(over))
	}
	k.report(op, errs)
	return some
}

// entries returns what is sent of a batch, how often each message had come by now, and when the
// first of the leases ends.
func (k *Keeper[K, T]) entries(batch []*Message[K, T], op Op) (entries []Entry[K, T], versions []int, until time.Time) {
	until = time.Now().Add(k.o.Timeout)
	entries, versions = make([]Entry[K, T], len(batch)), make([]int, len(batch))
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, m := range batch {
		entries[i], versions[i] = Entry[K, T]{m.id, m.value, m.delay}, m.version
		end := m.deadline
		if op != GiveBack {
			end = k.deadline(m)
		}
		if end.Before(until) {
			until = end
		}
	}
	return entries, versions, until
}

// send calls Send.
func (k *Keeper[K, T]) send(op Op, entries []Entry[K, T], until time.Time) []error {
	ctx, cancel := context.WithDeadline(k.ctx, until)
	defer cancel()
	return k.o.Send(ctx, op, entries)
}

// report reports what went wrong with a request.
func (k *Keeper[K, T]) report(op Op, errs []error) {
	if k.o.Report == nil || k.ctx.Err() != nil {
		return
	}
	var wrong error
	for _, err := range errs {
		if err != nil {
			wrong = err
		}
	}
	k.o.Report(op, wrong)
}

// at returns the error of an entry: none where there is no list, or it is too short.
func at(errs []error, i int) error {
	if i < len(errs) {
		return errs[i]
	}
	return nil
}

// All returns err for each of n entries, for a Send whose whole request failed.
func All(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Values returns the values of entries, for a request that has nothing else of them.
func Values[K comparable, T any](entries []Entry[K, T]) []T {
	values := make([]T, len(entries))
	for i := range entries {
		values[i] = entries[i].Value
	}
	return values
}
