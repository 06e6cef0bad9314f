package memory

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// extensionsPerLease is how often a lease is extended before it would run out.
const extensionsPerLease = 3

// startLease starts the lease of a new stream. All tenures of a stream share its deadline.
func (s *Stream) startLease() {
	o := &s.group.topic.broker.o
	s.deadline = time.Now().Add(o.LeaseDuration)
	s.timer = time.AfterFunc(o.LeaseDuration/extensionsPerLease, s.tick)
}

// tick extends the lease, or finds that it ran out. It also frees what the flights of a quiet
// stream still keep.
func (s *Stream) tick() {
	g := s.group
	g.topic.mu.Lock()
	if s.closed || s.lapsed {
		g.topic.mu.Unlock()
		return
	}
	o := &g.topic.broker.o
	now := time.Now()
	if !s.isStalled() {
		s.deadline = now.Add(o.LeaseDuration)
	}
	if now.Before(s.deadline) {
		s.timer.Reset(min(o.LeaseDuration/extensionsPerLease, s.deadline.Sub(now)))
		s.sweep()
		g.topic.mu.Unlock()
		return
	}
	s.lapsed, s.lapsedAt = true, now
	retired := g.retireAll(s, &leat.Error{Op: "lease", Topic: g.topic.name, Code: leat.CodeLeaseLost,
		Err: fmt.Errorf("it was not extended for %v", o.LeaseDuration)})
	g.topic.mu.Unlock()
	g.conclude(retired)
}

func (s *Stream) isStalled() bool { return s.stalled || s.group.topic.broker.stalled.Load() }

func (s *Stream) sweep() {
	p := &s.group.topic.pool
	if s.shared != nil {
		s.shared.flight.compact(p)
	}
	for _, sl := range s.group.slots {
		if sl.tenure != nil && sl.tenure.stream == s {
			sl.tenure.flight.compact(p)
		}
	}
}

// StallLease is a control for tests: while stall is set, the stream's leases are not extended, as
// when a process hangs or is cut off. After [Options].LeaseDuration without extension they are
// lost, and the group's other streams take over. When stall is lifted, the stream gets new leases.
func (s *Stream) StallLease(stall bool) {
	s.group.topic.mu.Lock()
	s.stalled = stall
	s.group.topic.mu.Unlock()
	s.resume()
}

// resume extends the lease at once, or starts a new one, unless it is still stalled.
func (s *Stream) resume() {
	g := s.group
	g.topic.mu.Lock()
	var drains []*tenure
	if !s.closed && !s.isStalled() {
		o := &g.topic.broker.o
		s.deadline = time.Now().Add(o.LeaseDuration)
		s.timer.Reset(o.LeaseDuration / extensionsPerLease)
		if s.lapsed {
			s.lapsed = false
			drains = g.rearrange()
		}
	}
	g.topic.mu.Unlock()
	g.drain(drains)
}

// Health returns nil, or an error with [leat.CodeLeaseLost] while the stream's leases are lost and
// not renewed.
func (s *Stream) Health() error {
	s.group.topic.mu.Lock()
	defer s.group.topic.mu.Unlock()
	if !s.lapsed || s.closed {
		return nil
	}
	return &leat.Error{Op: "lease", Topic: s.group.topic.name, Code: leat.CodeLeaseLost,
		Err: fmt.Errorf("it has not been extended since it ran out at %s", s.lapsedAt.Format(time.RFC3339))}
}
