package lease

import (
	"cmp"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// tenth is how often the extensions are looked at.
func (k *Keeper[K, T]) tenth() time.Duration { return max(k.o.Term/10, time.Millisecond) }

// watch extends what is held, and finds what is lost, until nothing is held any more.
func (k *Keeper[K, T]) watch() {
	timer := time.NewTimer(k.tenth())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-k.kick:
		case <-k.ctx.Done():
			return
		}
		due, lost, over := k.sweep(time.Now())
		k.lose(lost, errTerm)
		for batch := range slices.Chunk(due, k.o.MaxBatch) {
			k.tasks.Go(func() { k.extend(batch) })
		}
		if over {
			return
		}
		timer.Reset(k.tenth())
	}
}

// sweep returns the messages whose extension is due before the next look, and those whose leases
// are over. It ends the watch when nothing is held.
func (k *Keeper[K, T]) sweep(now time.Time) (due, lost []*Message[K, T], over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.held {
		switch {
		case m.op == GiveBack || m.lost: // its lease ends
		case m.Lease().Ended():
			lost = append(lost, m)
		case m.extending || m.lease.ExtendAt().After(now.Add(k.tenth())):
		default:
			m.extending = true
			due = append(due, m)
		}
	}
	older := func(a, b *Message[K, T]) int { return cmp.Compare(a.seq, b.seq) }
	slices.SortFunc(due, older)
	slices.SortFunc(lost, older)
	over = len(k.held) == 0
	k.watching = !over
	return due, lost, over
}

// extend extends the leases of messages. Where that fails, the next look tries again.
func (k *Keeper[K, T]) extend(batch []*Message[K, T]) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-k.ctx.Done():
		return
	}
	over := make(chan struct{})
	k.mu.Lock()
	batch = slices.DeleteFunc(batch, func(m *Message[K, T]) bool {
		m.extending = !m.lost && !m.Lease().Ended() && k.held[m.id] == m && !m.busy && m.op != GiveBack
		if m.extending {
			m.extension = over
		}
		return !m.extending
	})
	k.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	entries, versions, _ := k.entries(batch, Extend)
	asked := time.Now()
	most := min(k.o.Timeout, cmp.Or(k.o.ExtendTimeout, k.tenth()*9/10)) // before the next look
	errs := k.send(Extend, entries, asked.Add(most))
	var lost []*Message[K, T]
	var cause error
	k.mu.Lock()
	for i, m := range batch {
		m.extending, m.extension = false, nil
		switch err := at(errs, i); {
		case err == nil:
			m.lease.Extended(asked)
		case leat.CodeOf(err) == leat.CodeLeaseLost && m.version == versions[i] && m.op == 0: // else the broker may have its ack
			lost, cause = append(lost, m), err
		}
	}
	k.mu.Unlock()
	close(over)
	k.lose(lost, cause)
	k.report(Extend, errs)
}
