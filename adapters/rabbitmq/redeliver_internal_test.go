package rabbitmq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/stretchr/testify/require"
)

// redeliverModel is a queue of RabbitMQ, a generation that consumes from it, and somebody who
// handles what it delivers.
type redeliverModel struct {
	t       *testing.T
	r       *rand.Rand
	g       *generation
	keys    int
	calm    int                // one of so many is given back
	clock   int                // counts what happens
	all     map[uint64]*letter // what the queue has sent and waits for, by tag
	broker  ackModel           // what it knows of acknowledgements
	out     []leat.Delivery    // delivered and not settled
	settled []leat.Delivery    // before
}

// ackModel is what RabbitMQ knows of a channel's acknowledgements.
type ackModel struct {
	t        *testing.T
	unacked  map[uint64]bool // the broker waits for them
	finished map[uint64]bool
}

// apply is what RabbitMQ does with acknowledgements. A multiple one for a tag that it does not wait
// for would take everything.
func (m *ackModel) apply(a book.Collected) {
	if a.UpTo > 0 {
		require.True(m.t, m.unacked[a.UpTo], "the broker does not wait for %d", a.UpTo)
		for tag := range m.unacked {
			if tag <= a.UpTo {
				require.True(m.t, m.finished[tag], "%d is acknowledged with all up to %d, and not finished", tag, a.UpTo)
				delete(m.unacked, tag)
			}
		}
	}
	for _, tag := range a.Ones {
		require.True(m.t, m.unacked[tag] && m.finished[tag], "%d is acknowledged by itself", tag)
		delete(m.unacked, tag)
	}
}

// letter is what the model knows of a message.
type letter struct {
	key       string
	transport string // the key, where the event has none
	out       bool
	finished  bool
	slow      bool // it is handled much later than others
	count     int  // how often the broker has delivered it
	delivered int  // the clock when it was delivered last
	returned  int  // the clock when it was given back last
	notBefore time.Time
}

func newRedeliverModel(t *testing.T, seed uint64) *redeliverModel {
	t.Helper()
	m := &redeliverModel{t: t, r: rand.New(rand.NewPCG(seed, 1)), g: bareGeneration(t, 0), all: map[uint64]*letter{}}
	m.keys, m.calm = 1+m.r.IntN(20), []int{2, 20, 200}[m.r.IntN(3)]
	m.g.prefetch = 1 + m.r.IntN(40)
	m.g.s.sub.MaxInFlight = 1 + m.r.IntN(m.g.prefetch)
	m.g.s.sub.MaxInFlightBytes = 20 + m.r.IntN(400)
	m.g.s.caps.NativeReject = true
	m.g.s.keepBook()
	m.g.window = m.g.s.book.Open(m.g.lease)
	m.g.due, m.g.urgent, m.g.used = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	m.broker = ackModel{t: t, unacked: map[uint64]bool{}, finished: map[uint64]bool{}}
	return m
}

// arrive is a message of the queue.
func (m *redeliverModel) arrive() {
	if len(m.broker.unacked) >= m.g.prefetch {
		return
	}
	tag := m.g.window.Next()
	l := &letter{slow: m.r.IntN(40) == 0, count: 1 + m.r.IntN(3)}
	if k := m.r.IntN(m.keys + 1); k > 0 {
		l.key = fmt.Sprint(k)
	}
	m.all[tag], m.broker.unacked[tag] = l, true
	own := l.key
	if m.r.IntN(2) == 0 { // it is the message's key, and not the event's
		own, l.transport = "", l.key
	}
	e := newEvent(m.t, leat.EventOptions{ID: fmt.Sprint(tag), Source: "/s", Key: own})
	m.g.take(&leat.Delivery{Event: e, Key: l.transport, Deliveries: l.count}, 1+m.r.IntN(30), arrival(time.Now()))
}

// receive delivers, and checks what comes.
func (m *redeliverModel) receive(most int) (n int) {
	into := make([]leat.Delivery, most)
	n = m.g.s.book.Fill(into)
	for _, d := range into[:n] {
		m.check(&d)
		m.out = append(m.out, d)
	}
	require.LessOrEqual(m.t, len(m.out), m.g.s.sub.MaxInFlight, "R5")
	events, bytes := m.g.s.book.Out()
	require.Equal(m.t, len(m.out), events)
	require.True(m.t, bytes <= m.g.s.sub.MaxInFlightBytes || len(m.out) == 1, "R5")
	return n
}

// check checks a delivery.
func (m *redeliverModel) check(d *leat.Delivery) {
	tag := d.Tag >> 16
	l := m.all[tag]
	require.NotNil(m.t, l, "%d was never sent, or is acknowledged", tag)
	require.Equal(m.t, fmt.Sprint(tag), d.Event.ID())
	require.Equal(m.t, l.transport, d.Key)
	require.False(m.t, l.out, "%d is delivered twice at the same time", tag)
	require.False(m.t, l.finished, "%d was finished", tag)
	require.False(m.t, l.notBefore.After(time.Now()), "T2: %d comes before its delay is over", tag)
	m.clock++
	l.out, l.delivered = true, m.clock
	require.Equal(m.t, l.count, d.Deliveries, "R8")
	if l.key == "" {
		return
	}
	for other, o := range m.all {
		if o.key != l.key || o.finished {
			continue
		}
		switch {
		case other > tag:
			require.False(m.t, o.out, "R3: %d comes after %d", tag, other)
		case other < tag:
			require.True(m.t, o.out, "R3: %d comes before %d", tag, other)
			require.Greater(m.t, o.delivered, l.returned, "T2: %d comes again while %d, which is older, is not settled since", tag, other)
		}
	}
}

// settle ends a delivery in one way or another.
func (m *redeliverModel) settle(i int, how leat.Settlement) {
	d := m.out[i]
	m.out = append(m.out[:i], m.out[i+1:]...)
	m.settled = append(m.settled, d)
	tag := d.Tag >> 16
	l := m.all[tag]
	m.clock++
	l.out = false
	m.apply(d, how)
	if how.Action == leat.GiveBack {
		l.returned, l.notBefore = m.clock, time.Now().Add(how.Delay)
		return
	}
	l.finished, m.broker.finished[tag] = true, true
}

// apply is Stream.Settle.
func (m *redeliverModel) apply(d leat.Delivery, how leat.Settlement) {
	m.g.s.mu.Unlock()
	defer m.g.s.mu.Lock()
	m.g.s.Settle(&d, how)
}

// settleSome ends some of what is delivered, in any order, and tries to end what was ended before.
func (m *redeliverModel) settleSome() {
	for i, d := range slices.Backward(m.out) { // settle takes it out
		l := m.all[d.Tag>>16]
		if m.r.IntN(3) > 0 || l.slow && m.r.IntN(300) > 0 {
			continue
		}
		how := leat.Settlement{Action: leat.Ack}
		switch {
		case m.r.IntN(m.calm) == 0:
			how = leat.Settlement{Action: leat.GiveBack, Delay: time.Duration(max(0, m.r.IntN(150)-100)) * time.Millisecond}
		case m.r.IntN(8) == 0:
			how.Action = leat.NativeReject
		}
		m.settle(i, how)
	}
	if len(m.settled) > 0 {
		events, _ := m.g.s.book.Out()
		m.apply(m.settled[m.r.IntN(len(m.settled))], leat.Settlement{Action: leat.Ack})
		after, _ := m.g.s.book.Out()
		require.Equal(m.t, events, after, "what is settled is settled again")
	}
}

// acknowledge is what the broker is told.
func (m *redeliverModel) acknowledge(ones bool) {
	a := m.g.window.Collect(ones)
	for _, tag := range a.Rejects {
		require.True(m.t, m.broker.unacked[tag] && m.broker.finished[tag], "%d is rejected", tag)
		delete(m.broker.unacked, tag)
	}
	m.broker.apply(a)
	for tag := range m.all {
		if !m.broker.unacked[tag] {
			delete(m.all, tag)
			delete(m.broker.finished, tag)
		}
	}
}

func (m *redeliverModel) step() {
	switch m.r.IntN(8) {
	case 0, 1, 2:
		for range m.r.IntN(8) {
			m.arrive()
		}
	case 3, 4:
		m.receive(1 + m.r.IntN(20))
	case 5, 6:
		m.settleSome()
	default:
		m.acknowledge(m.r.IntN(2) == 0)
	}
}

// drain ends everything, and checks that nothing is left.
func (m *redeliverModel) drain() {
	for range 20 * m.g.prefetch {
		for len(m.out) > 0 {
			m.settle(m.r.IntN(len(m.out)), leat.Settlement{Action: leat.Ack})
		}
		if m.receive(100) == 0 {
			m.pause(time.Second) // the longest delay
			if m.receive(100) == 0 {
				break
			}
		}
	}
	m.acknowledge(false)
	m.acknowledge(true)
	require.Empty(m.t, m.broker.unacked, "lost")
	held, bytes := m.g.s.book.Held()
	require.Zero(m.t, held)
	require.Zero(m.t, bytes)
}

// pause lets time pass.
func (m *redeliverModel) pause(d time.Duration) {
	m.g.s.mu.Unlock()
	time.Sleep(d)
	m.g.s.mu.Lock()
}

// TestRedeliveryModel: whatever is given back, settled, delayed and left open in whatever order,
// the messages of a key come in order, what was given back before later ones of its key, each as
// often as it should, and none is lost.
func TestRedeliveryModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 60 {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			m := newRedeliverModel(t, seed)
			m.g.s.mu.Lock()
			for range 2_000 {
				m.step()
				m.pause(time.Millisecond)
			}
			m.drain()
			m.g.end()
			m.g.s.mu.Unlock()
		}
	})
}
