package models

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"pgregory.net/rapid" //nolint:depguard // this module exists to keep it out of the others
)

// TestMemory runs the memory broker against its model: a few groups and streams, which come, go and
// lose their leases, settle in any order and late, and time that passes. At the end every group
// must have got everything.
func TestMemory(t *testing.T) {
	check(t, func(rt *rapid.T) {
		s := newShop(rt)
		defer func() { _ = s.broker.Close() }() // it has no error to return
		s.declare(false)
		s.join(s.groups[0], 8)
		ack := func(rt *rapid.T) { s.doSettle(rt, leat.Settlement{Action: leat.Ack}) }
		giveBack := func(rt *rapid.T) {
			delay := rapid.SampledFrom([]time.Duration{0, 0, 1, time.Second, 5 * time.Second, time.Minute}).Draw(rt, "delay")
			s.doSettle(rt, leat.Settlement{Action: leat.GiveBack, Delay: delay})
		}
		repeat(rt, s.compare, []action{
			{"receive", s.doReceive}, {"publish", s.doPublish}, {"give back", giveBack}, {"ack", ack}, {"receive", s.doReceive},
			{"wait", s.doWait}, {"join", s.doJoin}, {"settle late", s.doSettleLate}, {"release", s.doRelease}, {"leave", s.doLeave},
			{"expire", s.doExpire}, {"stall", s.doStall}, {"declare", s.doDeclare}, {"crash", s.doCrash}, {"publish", s.doPublish},
		})
		s.wind()
	})
}

func (s *shop) drawGroup(rt *rapid.T) *modelGroup {
	return s.groups[rapid.IntRange(0, len(s.groups)-1).Draw(rt, "group")]
}

func (s *shop) drawStream(rt *rapid.T) *modelStream {
	g := s.drawGroup(rt)
	if len(g.streams) == 0 {
		rt.Skip("the group has no stream")
	}
	return g.streams[rapid.IntRange(0, len(g.streams)-1).Draw(rt, "stream")]
}

func (s *shop) doPublish(rt *rapid.T) {
	var events []leat.Event
	for range rapid.IntRange(1, 6).Draw(rt, "events") {
		key := rapid.SampledFrom([]string{"", "a", "a", "b", "c", "d"}).Draw(rt, "key")
		e, err := leat.NewEvent("t", &leat.EventOptions{ID: fmt.Sprint(len(s.past), "-", len(events)), Source: "/s", Key: key})
		if err != nil {
			rt.Fatal(err)
		}
		events = append(events, e)
	}
	s.publish(events)
}

func (s *shop) doReceive(rt *rapid.T) {
	st := s.drawStream(rt)
	s.receive(st, rapid.IntRange(1, 12).Draw(rt, "room"))
}

func (s *shop) doSettle(rt *rapid.T, how leat.Settlement) {
	st := s.drawStream(rt)
	if len(st.holds) == 0 {
		rt.Skip("the stream holds nothing")
	}
	s.settle(st.holds[rapid.IntRange(0, len(st.holds)-1).Draw(rt, "held")], how)
}

// doSettleLate settles once more what was settled, or what was lost with its lease.
func (s *shop) doSettleLate(rt *rapid.T) {
	st := s.drawStream(rt)
	if len(st.over) == 0 {
		rt.Skip("nothing is over")
	}
	h := st.over[rapid.IntRange(0, len(st.over)-1).Draw(rt, "settled")]
	action := rapid.SampledFrom([]leat.Action{leat.Ack, leat.GiveBack}).Draw(rt, "action")
	st.stream.Settle(&h.delivery, leat.Settlement{Action: action})
}

// doRelease ends the drains of a stream: what it still holds under such a lease is acked, as a
// handler that finishes does.
func (s *shop) doRelease(rt *rapid.T) {
	st := s.drawStream(rt)
	if !s.release(st) {
		rt.Skip("no lease is draining")
	}
}

func (s *shop) release(st *modelStream) bool {
	var draining []*heldLease
	for _, l := range st.leases {
		if l.release != nil {
			draining = append(draining, l)
		}
	}
	for _, l := range draining {
		for _, h := range append([]*modelHold{}, st.holds...) {
			if h.lease == l {
				s.settle(h, leat.Settlement{Action: leat.Ack})
			}
		}
		l.release()
		if !l.ended {
			s.breaks("a lease of %s was released and has not ended", st.name)
		}
	}
	return len(draining) > 0
}

func (s *shop) doDeclare(rt *rapid.T) {
	if len(s.groups) == 3 {
		rt.Skip("there are enough")
	}
	s.declare(rapid.Bool().Draw(rt, "unordered"))
}

func (s *shop) doJoin(rt *rapid.T) {
	g := s.drawGroup(rt)
	if len(g.streams) == 4 {
		rt.Skip("there are enough")
	}
	s.join(g, rapid.IntRange(1, 10).Draw(rt, "in flight"))
}

func (s *shop) doLeave(rt *rapid.T) { s.leave(s.drawStream(rt)) }

func (s *shop) doCrash(*rapid.T) {
	s.broker.Crash()
	s.lost(s.groups...)
}

func (s *shop) doExpire(rt *rapid.T) {
	g := s.drawGroup(rt)
	if err := s.broker.ExpireLeases("t", g.sub.Group); err != nil {
		rt.Fatal(err)
	}
	s.lost(g)
}

func (s *shop) doStall(rt *rapid.T) {
	st := s.drawStream(rt)
	if st.stalled = !st.stalled; st.stalled {
		st.expires = time.Now().Add(leaseDuration)
	}
	st.stream.StallLease(st.stalled)
}

// doWait lets time pass. A lease that is stalled is lost at the latest a lease duration later.
func (s *shop) doWait(rt *rapid.T) {
	s.wait(rapid.SampledFrom([]time.Duration{1, time.Second, 5 * time.Second, 31 * time.Second, 2 * time.Minute}).Draw(rt, "time"))
}

func (s *shop) wait(d time.Duration) {
	s.asleep.Store(true)
	time.Sleep(d)
	synctest.Wait()
	s.asleep.Store(false)
	for _, g := range s.groups {
		for _, st := range g.streams {
			if st.lapsed() != (st.stream.Health() != nil) && time.Now() != st.expires && st.mustHaveLapsed() {
				s.breaks("%s is stalled: %t, and its health is %v", st.name, st.stalled, st.stream.Health())
			}
			if st.lapsed() && len(st.holds) > 0 {
				s.breaks("%s still holds %d deliveries %v after its lease ran out", st.name, len(st.holds), time.Since(st.expires))
			}
		}
	}
}

// mustHaveLapsed excludes the time in which a lease that is stalled may still last.
func (st *modelStream) mustHaveLapsed() bool { return !st.stalled || st.lapsed() }

// wind gives every group a stream that works, and time, until all is acked.
func (s *shop) wind() {
	for _, g := range s.groups {
		for _, st := range g.streams {
			if st.stalled {
				st.stalled = false
				st.stream.StallLease(false)
			}
		}
		if len(g.streams) == 0 {
			s.join(g, 8)
		}
	}
	for range 2 * (bufferEvents + len(s.past)) {
		left := 0
		for _, g := range s.groups {
			for _, st := range g.streams {
				for _, h := range append([]*modelHold{}, st.holds...) {
					s.settle(h, leat.Settlement{Action: leat.Ack})
				}
				s.release(st)
				s.receive(st, 12)
			}
			left += g.queued()
			for _, st := range g.streams {
				left += len(st.holds)
			}
		}
		s.compare(nil)
		if left == 0 {
			break
		}
		s.wait(10 * time.Second)
	}
	for _, g := range s.groups {
		for _, e := range g.entries {
			if !e.acked {
				s.rt.Fatalf("no loss: %v never came to %s", e, g.sub.Group)
			}
		}
		for _, st := range g.streams {
			if n := s.receive(st, 1); n > 0 {
				s.rt.Fatalf("something came to %s after all was acked", st.name)
			}
		}
	}
	s.compare(nil)
}
