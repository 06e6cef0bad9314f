package publish_test

import (
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/assert"
)

// path publishes events as an adapter does whose broker answers at once.
type path struct {
	l      *ledger
	queue  publish.Queue[int]
	reused *publish.Batch[int]
	room   []entry
}

func (p *path) publish(tb testing.TB, events []leat.Event) {
	tb.Helper()
	left := len(events)
	done := func(int, error) { left-- }
	b := p.reused
	if b != nil {
		b.Reset("topic", p.room, done)
	} else {
		b = p.l.Batch("topic", len(events), done)
	}
	for i, e := range events {
		b.Add(i, e)
	}
	p.l.Admit(tb.Context(), b, p.accept)
	for e := p.queue.Next(nil); e != nil; e = p.queue.Next(nil) {
		e.Done(nil)
	}
	if left != 0 {
		tb.Fatal("an event has no outcome")
	}
}

func (p *path) accept(entries []entry) {
	for i := range entries {
		if p.reused == nil {
			p.queue.Push(&entries[i])
		} else if entries[i].Begin() {
			entries[i].Done(nil)
		}
	}
}

func newPath(events int, reuse bool) *path {
	p := &path{l: publish.New[int](publish.Options{})}
	if reuse {
		p.reused, p.room = &publish.Batch[int]{Owner: &owner{}}, make([]entry, events)
	}
	return p
}

func someEvents(tb testing.TB, n int) []leat.Event {
	tb.Helper()
	events := make([]leat.Event, n)
	for i := range events {
		events[i] = event(tb, fmt.Sprint(i), 100)
	}
	return events
}

// TestAllocations: a batch of one event is one allocation, a larger one is two, and one whose
// memory is used again none.
func TestAllocations(t *testing.T) {
	const own = 2 // done and what it counts
	for n, fresh := range map[int]float64{1: 1, 100: 2} {
		events := someEvents(t, n)
		p, again := newPath(n, false), newPath(n, true)
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { p.publish(t, events) }), own+fresh, "%d events", n)
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { again.publish(t, events) }), float64(own), "%d events, used again", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, reuse := range []bool{false, true} {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("reuse=%v/%d", reuse, n), func(b *testing.B) {
				p, events := newPath(n, reuse), someEvents(b, n)
				b.ReportAllocs()
				for b.Loop() {
					p.publish(b, events)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}
