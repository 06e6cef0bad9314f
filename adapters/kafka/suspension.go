package kafka

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A member that the group does not answer keeps its partitions and ends their leases: they are
// suspended. When the group answers again, and has not given them to others, they go on where they
// were.
//
// watchPresence ends the leases. Each is a [leat.TimedLease] all the same, which is over a moment
// later: a process that stood still starts and settles nothing then, also before watchPresence has
// run.

// hold gives a tenure the lease of its deliveries. It lasts as long as the group's session, if the
// stream has one. The lock is held.
func (s *Stream) hold(t *tenure) {
	if s.leases == nil {
		t.lease = leat.NewLease()
	} else {
		t.timed = s.leases.New(s.presence.heard())
		t.lease = t.timed.Lease()
	}
	if t.window != nil { // that nothing was in
		t.window.End()
	}
	t.window = s.book.Open(t.lease)
}

// extend makes the leases last for another term from the moment at which the group heard of the
// member. It reports whether they still last: one may have ended by itself although the session
// goes on. What the answer said is not known yet, so an error may extend them by one interval of
// heartbeats.
func (s *Stream) extend(last time.Time) bool {
	if last.IsZero() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lasting := true
	for _, t := range s.tenures {
		if t.timed != nil && !t.suspended && !t.timed.Extended(last) && !t.draining {
			lasting = false
		}
	}
	return lasting
}

// watchPresence ends the leases before the group can give the partitions to others, which it does
// when it has not heard of this member for the session timeout; and goes on where it was when the
// group turns out not to have done so.
func (s *Stream) watchPresence() {
	timer := time.NewTimer(s.presence.lasts())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.presence.news:
		case <-s.quit:
			return
		}
		timer.Reset(max(s.keepLeases(), time.Millisecond))
	}
}

// keepLeases extends the leases, or suspends the partitions, and returns when to look again.
func (s *Stream) keepLeases() time.Duration {
	found := s.presence.look()
	if found.back {
		s.mu.Lock()
		s.resuming = true
		s.wake()
		s.mu.Unlock()
	}
	if found.next <= 0 || !s.extend(found.last) {
		s.presence.end()
		s.suspend(time.Since(found.last))
		return s.presence.lasts()
	}
	return found.next
}

// suspend ends the leases and keeps the partitions: nothing of them is delivered until the group
// has answered. What was delivered is delivered again then, from the watermark on, with a new
// lease.
func (s *Stream) suspend(silence time.Duration) {
	cause := fmt.Errorf("the group has not answered a heartbeat for %v, and may have given the partition to another member after the session"+
		" timeout of %v", silence.Round(time.Millisecond), s.presence.timeout)
	cause = withLast(cause, s.conns.last())
	s.mu.Lock()
	s.resuming = false
	over := s.renew()
	s.ill.anew(ofSilence, 0, cause)
	s.mu.Unlock()
	if len(over) > 0 {
		lineSuspended.wrong(&s.silence, "", cause, s.sub.Topic, s.sub.Group, named(partitionsOf(over)))
	}
	for _, t := range over {
		t.lease.End(cause)
		s.mu.Lock()
		drained := t.drained
		s.mu.Unlock()
		if drained != nil {
			drained()
		}
	}
}

// renew puts suspended tenures in the place of those of which something was delivered, and returns
// these and those that drain: their leases end. The lock is held.
func (s *Stream) renew() (over []*tenure) {
	for _, t := range s.all() {
		switch {
		case t.draining: // it is being given up; nothing of it is waited for any more
			over = append(over, t)
		case t.position() < 0: // nothing was delivered: what was polled can stay
			t.suspended = true
		default:
			was := t.soFar()
			s.end([]*tenure{t})
			s.begin(t.partition)
			n := s.tenures[t.partition]
			n.progress, n.topic, n.begin, n.next = was, t.topic, was.watermark, was.watermark
			if len(was.above) > 0 {
				n.owe(was.watermark, was.epoch)
				s.commit.soon()
			} else {
				n.watermark = t.watermark
			}
			n.suspended, n.rewind, n.asked, n.placed = true, true, t.asked, t.placed
			over = append(over, t)
		}
	}
	return over
}

// resumeSuspended lets the suspended partitions go on. Receive calls it, so that no poll is under
// way; no new tenure begins meanwhile, which an offset would hit: assigned waits for that.
func (s *Stream) resumeSuspended() {
	s.mu.Lock()
	if !s.resuming || s.idle != nil {
		s.mu.Unlock()
		return
	}
	s.resuming = false
	s.ill.set(ofSilence, 0, nil)
	idle := make(chan struct{})
	s.idle = idle
	from := map[int32]kgo.EpochOffset{}
	for p, t := range s.tenures {
		if t.suspended && t.rewind {
			from[p] = kgo.EpochOffset{Epoch: t.epoch, Offset: t.begin}
		}
	}
	s.mu.Unlock()
	lineResumed.well(&s.silence, s.sub.Topic, s.sub.Group)
	s.goOn(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenures {
		if !t.suspended {
			continue
		}
		if !t.draining {
			s.hold(t)
		}
		t.suspended, t.rewind = false, false
	}
	s.idle = nil
	close(idle)
}
