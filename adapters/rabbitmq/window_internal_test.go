package rabbitmq

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// windowModel is a channel of RabbitMQ and what a stream does with its window.
type windowModel struct {
	t        *testing.T
	w        window
	unacked  map[uint64]bool // the broker waits for them
	finished map[uint64]bool
	parked   map[uint64]bool // not finished for a long time
	prefetch int
	now      time.Time
}

// apply is what RabbitMQ does with acknowledgements. A multiple one for a tag that it does not wait for would take everything.
func (m *windowModel) apply(a acks) {
	if a.upTo > 0 {
		require.True(m.t, m.unacked[a.upTo], "the broker does not wait for %d", a.upTo)
		for tag := range m.unacked {
			if tag <= a.upTo {
				require.True(m.t, m.finished[tag], "%d is acknowledged with all up to %d, and not finished", tag, a.upTo)
				delete(m.unacked, tag)
			}
		}
	}
	for _, tag := range a.ones {
		require.True(m.t, m.unacked[tag] && m.finished[tag], "%d is acknowledged by itself", tag)
		delete(m.unacked, tag)
	}
}

// TestWindowAcknowledgesWhatIsFinished: with any order of finishing, nothing else is acknowledged, and all of it is in the end. Memory does
// not grow with the distance from an unfinished message to the newest.
func TestWindowAcknowledgesWhatIsFinished(t *testing.T) {
	t.Parallel()
	for range 80 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		m := &windowModel{
			t: t, prefetch: 1 + r.IntN(40), unacked: map[uint64]bool{}, finished: map[uint64]bool{}, parked: map[uint64]bool{},
		}
		m.w = newWindow(m.prefetch)
		for range 3_000 {
			m.now = m.now.Add(time.Millisecond)
			m.step(r)
			require.LessOrEqual(t, len(m.w.ring), m.w.most)
			require.LessOrEqual(t, len(m.w.stragglers), m.prefetch)
			require.True(t, m.w.first <= m.w.fresh && m.w.fresh <= m.w.next)
			for tag := m.w.fresh; tag < m.w.next; tag++ {
				require.Equal(t, slotFresh, m.w.inRing(tag).state, "%d was not delivered yet", tag)
			}
		}
		m.w.fresh = m.w.next
		for tag := range m.unacked {
			m.finish(tag)
		}
		m.apply(m.w.collect(false, m.now))
		m.apply(m.w.collect(true, m.now))
		require.Empty(t, m.unacked)
		require.Zero(t, m.w.unacked)
		_, found := m.w.oldest()
		require.False(t, found)
	}
}

func (m *windowModel) step(r *rand.Rand) {
	if len(m.unacked) < m.prefetch && r.IntN(2) == 0 {
		tag := m.w.next
		m.w.push(slot{came: m.now})
		m.unacked[tag] = true
		m.parked[tag] = r.IntN(50) == 0 && len(m.parked) < m.prefetch/2
	}
	for range r.IntN(4) { // some are delivered, and of these some wait again
		if m.w.fresh < m.w.next {
			m.w.inRing(m.w.fresh).state = slotOut + slotState(r.IntN(2))
			m.w.fresh++
		}
	}
	for tag := range m.unacked {
		if !m.finished[tag] && m.w.at(tag).state != slotFresh && (!m.parked[tag] || r.IntN(500) == 0) && r.IntN(3) == 0 {
			m.finish(tag)
		}
	}
	switch r.IntN(6) {
	case 0:
		m.apply(m.w.collect(false, m.now))
	case 1:
		m.apply(m.w.collect(true, m.now))
	}
}

func (m *windowModel) finish(tag uint64) {
	if !m.finished[tag] {
		delete(m.parked, tag)
		m.finished[tag] = true
		m.w.finish(m.w.at(tag), m.now)
	}
}
