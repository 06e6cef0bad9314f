package book_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/stretchr/testify/require"
)

// model is a book, and what a naive reading of the rules knows of its records.
type model struct {
	t       *testing.T
	r       *rand.Rand
	o       book.Options
	mu      sync.Mutex
	b       *book.Book[*record]
	windows []*window
	clock   int // counts what happens
	keys    int
	calm    int  // one of so many is given back
	lasting bool // windows last as long as the model, and the first record is open until then
	out     []leat.Delivery
	settled []leat.Delivery // before
	told    []*record       // lost by their leases, and the book will hear of it
	seen    struct{ stragglers, lost, returned, delayed, again int }
}

// window is one period of ownership.
type window struct {
	w       *book.Window[*record]
	lease   *leat.Lease
	all     []*record // by number, from 1
	stopped bool
	broker  map[uint64]bool // with Ranges: what the broker waits for
}

// record is what the model knows of a record.
type record struct {
	window    *window
	n         uint64
	key       string
	size      int
	count     int // how often the broker has delivered it
	lease     *leat.Lease
	out       bool
	finished  bool
	lost      bool
	slow      bool // it is handled much later than others
	delivered int  // the clock when it was delivered last
	returned  int  // the clock when it was given back last
	notBefore time.Time
}

func (r *record) over() bool { return r.finished || r.lost }

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 1))}
	m.keys, m.calm = 1+m.r.IntN(20), []int{2, 20, 200}[m.r.IntN(3)]
	m.lasting = m.r.IntN(2) == 0
	m.o = book.Options{
		Topic: "t", MaxInFlight: 2 + m.r.IntN(40), MaxInFlightBytes: 20 + m.r.IntN(400), Acks: book.Acks(m.r.IntN(3)),
		Unordered: m.r.IntN(5) == 0, NativeReject: m.r.IntN(2) == 0, LongestDelay: []time.Duration{0, time.Minute}[m.r.IntN(2)],
	}
	if m.o.Acks == book.Each {
		m.o.Timed, m.o.KeylessLeave = m.r.IntN(2) == 0, m.r.IntN(2) == 0
	}
	m.b = book.New[*record](&m.mu, m.o)
	m.open()
	return m
}

func (m *model) open() {
	w := &window{lease: leat.NewLease(), broker: map[uint64]bool{}}
	w.w = m.b.Open(w.lease)
	m.windows = append(m.windows, w)
}

// push is a message that arrives, while there is room.
func (m *model) push() {
	w := m.windows[m.r.IntN(len(m.windows))]
	if events, _ := m.b.Room(); events <= 0 || w.stopped {
		return
	}
	if m.o.Acks == book.Position && m.r.IntN(20) == 0 {
		w.all = append(w.all, &record{window: w, n: w.w.Next(), finished: true})
		w.w.Skip(w.all[len(w.all)-1])
		return
	}
	r := &record{window: w, size: 1 + m.r.IntN(30), count: 1 + m.r.IntN(3), lease: w.lease, slow: m.r.IntN(40) == 0}
	d := leat.Delivery{Deliveries: r.count}
	if m.o.Timed && m.r.IntN(4) > 0 {
		r.lease = leat.NewLease()
		d.Lease = r.lease
	}
	if k := m.r.IntN(m.keys + 1); k > 0 {
		r.key = fmt.Sprint(k)
	}
	var err error
	o := &leat.EventOptions{ID: fmt.Sprint(w.w.Next()), Source: "/s"}
	if m.r.IntN(2) == 0 { // it is the transport's key, and not the event's
		d.Key = r.key
	} else {
		o.Key = r.key
	}
	d.Event, err = leat.NewEvent("t", o)
	require.NoError(m.t, err)
	if m.o.Unordered {
		r.key = ""
	}
	r.n = w.w.Push(&d, r.size, r)
	w.all = append(w.all, r)
	require.Len(m.t, w.all, int(r.n))
	w.broker[r.n] = true
}

func (m *model) of(d *leat.Delivery) *record {
	for _, w := range m.windows {
		if w.w == d.Handle {
			return w.all[d.Tag>>16-1]
		}
	}
	return nil
}

// fill delivers, and checks what comes.
func (m *model) fill(most int) (n int) {
	into := make([]leat.Delivery, most)
	n = m.b.Fill(into)
	for _, d := range into[:n] {
		m.check(&d)
		m.out = append(m.out, d)
	}
	events, bytes := m.b.Out()
	require.Equal(m.t, m.sizes(func(r *record) bool { return r.out }), [2]int{events, bytes}) //nolint:testifylint // expected by the model
	require.LessOrEqual(m.t, events, m.o.MaxInFlight, "R5")
	require.True(m.t, bytes <= m.o.MaxInFlightBytes || events == 1, "R5")
	heldEvents, heldBytes := m.b.Held()
	held := m.sizes(func(r *record) bool { return !r.over() })
	require.Equal(m.t, held, [2]int{heldEvents, heldBytes}) //nolint:testifylint // expected by the model
	if n < most && !m.b.Short() {
		m.nothingLeft()
	}
	return n
}

// sizes returns number and bytes of the records for which f is true.
func (m *model) sizes(f func(*record) bool) (sum [2]int) {
	for _, w := range m.windows {
		for _, r := range w.all {
			if f(r) {
				sum[0]++
				sum[1] += r.size
			}
		}
	}
	return sum
}

// check checks a delivery.
func (m *model) check(d *leat.Delivery) {
	r := m.of(d)
	require.NotNil(m.t, r, "it is of a window that has ended")
	require.Equal(m.t, fmt.Sprint(r.n), d.Event.ID())
	require.False(m.t, r.window.stopped, "%d of a window that is stopped", r.n)
	require.False(m.t, r.out, "%d is delivered twice at the same time", r.n)
	require.False(m.t, r.over(), "%d was finished or lost", r.n)
	require.False(m.t, m.o.Timed && r.lease.Ended(), "L2: %d is delivered although its lease has ended", r.n)
	require.False(m.t, r.notBefore.After(time.Now()), "T2: %d comes before its delay is over", r.n)
	require.Equal(m.t, r.count, d.Deliveries, "R8")
	require.Same(m.t, r.lease, d.Lease)
	m.clock++
	r.out, r.delivered = true, m.clock
	if r.returned > 0 {
		m.seen.again++
	}
	if r.key == "" {
		return
	}
	for _, o := range r.window.all {
		if o.key != r.key || o.over() {
			continue
		}
		switch {
		case o.n > r.n:
			require.False(m.t, o.out, "R3: %d comes after %d", r.n, o.n)
		case o.n < r.n:
			require.True(m.t, o.out, "R3: %d comes before %d", r.n, o.n)
			require.Greater(m.t, o.delivered, r.returned, "T2: %d comes again while %d, which is older, is not settled since", r.n, o.n)
		}
	}
}

// nothingLeft checks that Fill, when it stopped without a limit, left nothing that had to go out: a
// record without a key whose delay is over, or the records of a key of which nothing is out and
// whose delays are over.
func (m *model) nothingLeft() {
	busy := map[string]bool{}
	for _, w := range m.windows {
		for _, r := range w.all {
			if !r.over() && (r.out || r.notBefore.After(time.Now())) {
				busy[r.key] = true
			}
		}
	}
	for _, w := range m.windows {
		for _, r := range w.all {
			if w.stopped || r.out || r.over() || r.notBefore.After(time.Now()) || r.key != "" && busy[r.key] {
				continue
			}
			require.Fail(m.t, "withheld", "%d with the key %q waits for nothing", r.n, r.key)
		}
	}
}

// settle ends a delivery in one way or another.
func (m *model) settle(i int, how leat.Settlement) {
	d := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	m.settled = append(m.settled, d)
	r := m.of(&d)
	of, effect := m.b.Settle(&d, how)
	if r == nil || r.lost || m.o.Timed && d.Lease.Ended() { // T4
		require.Equal(m.t, book.None, effect)
		if r != nil && !r.lost {
			m.lose(r)
		}
		return
	}
	require.Same(m.t, r, of)
	m.clock++
	r.out = false
	switch {
	case how.Action == leat.GiveBack && m.o.KeylessLeave && r.key == "":
		require.Equal(m.t, book.Returned, effect)
		r.finished = true
		m.seen.returned++
	case how.Action == leat.GiveBack:
		require.Equal(m.t, book.GivenBack, effect)
		r.returned, r.notBefore = m.clock, time.Now().Add(min(how.Delay, m.o.LongestDelay))
		if r.notBefore.After(time.Now()) {
			m.seen.delayed++
		}
	default:
		require.Equal(m.t, map[leat.Action]book.Effect{leat.Ack: book.Acked, leat.NativeReject: book.Rejected}[how.Action], effect)
		r.finished = true
	}
}

// settleSome ends some of what is out, in any order, and tries to end what was ended before.
func (m *model) settleSome() {
	for i, d := range slices.Backward(m.out) { // settle takes it out
		r := m.of(&d)
		slow := r != nil && (r.slow && m.r.IntN(300) > 0 || r.n == 1 && m.lasting)
		if slow || m.r.IntN(3) > 0 {
			continue
		}
		how := leat.Settlement{Action: leat.Ack}
		switch {
		case m.r.IntN(m.calm) == 0:
			how = leat.Settlement{Action: leat.GiveBack, Delay: time.Duration(max(0, m.r.IntN(150)-100)) * time.Millisecond}
		case m.r.IntN(8) == 0 && m.o.NativeReject:
			how.Action = leat.NativeReject
		}
		m.settle(i, how)
	}
	if len(m.settled) == 0 {
		return
	}
	old := m.settled[m.r.IntN(len(m.settled))]
	_, effect := m.b.Settle(&old, leat.Settlement{Action: leat.Action(1 + m.r.IntN(3))})
	require.Equal(m.t, book.None, effect, "T4: an old round has an effect")
}

// expire ends the lease of a record by its time. The adapter learns of it now or later.
func (m *model) expire() {
	w := m.windows[m.r.IntN(len(m.windows))]
	if !m.o.Timed || len(w.all) == 0 {
		return
	}
	r := w.all[m.r.IntN(len(w.all))]
	if r.over() || r.lease == w.lease {
		return
	}
	r.lease.End(leat.ErrLeaseLost)
	m.told = append(m.told, r)
	i := slices.IndexFunc(m.out, func(d leat.Delivery) bool { return m.of(&d) == r })
	if i >= 0 && m.r.IntN(2) == 0 { // the book sees it first, and tells of the others later
		m.settle(i, leat.Settlement{Action: leat.Ack})
		return
	}
	m.lose(r)
	m.tellLost()
}

// tellLost tells the book which leases are lost. It names the records that are lost with them.
func (m *model) tellLost() {
	for _, r := range m.told {
		for _, o := range r.window.w.Lose(r.n) {
			require.True(m.t, o.lost, "%d is lost, with no older one of its key", o.n)
			if o.lease != o.window.lease {
				o.lease.End(leat.ErrLeaseLost)
			}
		}
	}
	m.told = nil
	for _, w := range m.windows {
		for _, r := range w.all {
			require.True(m.t, !r.lost || r.lease.Ended() || r.lease == w.lease, "L4: the lease of %d goes on", r.n)
		}
	}
}

// lose is what a lost lease does to a record, and to later ones of its key.
func (m *model) lose(r *record) {
	m.seen.lost++
	for _, o := range r.window.all {
		if o == r || o.key == r.key && r.key != "" && o.n > r.n {
			o.lost, o.out = o.lost || !o.finished, false
		}
	}
}

// end stops a window, or ends one.
func (m *model) end() {
	m.tellLost()
	i := m.r.IntN(len(m.windows))
	w := m.windows[i]
	if !w.stopped {
		w.w.Stop()
		w.stopped = true
		return
	}
	var left []uint64
	for r, out := range w.w.Unsettled() {
		require.Equal(m.t, r.out, out)
		left = append(left, r.n)
	}
	var want []uint64
	for _, r := range w.all {
		if !r.over() {
			want = append(want, r.n)
		}
	}
	require.Equal(m.t, want, left, "what goes back to the broker")
	w.w.End()
	m.windows = slices.Delete(m.windows, i, i+1)
}

func (m *model) step() {
	switch k := m.r.IntN(200); {
	case k < 60:
		for range m.r.IntN(8) {
			m.push()
		}
	case k < 110:
		m.fill(1 + m.r.IntN(20))
	case k < 160:
		m.settleSome()
	case k < 190:
		m.tell(m.r.IntN(2) == 0)
	case k < 197:
		m.expire()
	case k == 197 && !m.lasting:
		m.end()
	}
	for len(m.windows) == 0 || m.windows[len(m.windows)-1].stopped && len(m.windows) < 4 {
		m.open()
	}
}

// drain ends everything, and checks that nothing is left.
func (m *model) drain() {
	for range 10_000 {
		for len(m.out) > 0 {
			m.settle(m.r.IntN(len(m.out)), leat.Settlement{Action: leat.Ack})
		}
		if m.fill(100) == 0 && len(m.out) == 0 {
			m.pause(time.Second) // the longest delay
			if m.fill(100) == 0 {
				break
			}
		}
	}
	m.tellLost()
	for _, w := range m.windows {
		if w.stopped {
			w.w.End()
		}
	}
	m.windows = slices.DeleteFunc(m.windows, func(w *window) bool { return w.stopped })
	m.tell(true)
	events, bytes := m.b.Held()
	require.Zero(m.t, events, "lost")
	require.Zero(m.t, bytes)
	require.Zero(m.t, m.b.Waits())
}

// pause lets time pass.
func (m *model) pause(d time.Duration) {
	m.mu.Unlock()
	time.Sleep(d) // in fake time
	m.mu.Lock()
}

// TestModel: whatever arrives, is given back, settled, delayed, lost, stopped and left open in
// whatever order, records come in the order of their key, each as often as it should, within the
// limits, and the broker is told of what is finished and nothing else.
func TestModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen struct{ stragglers, lost, returned, delayed, again int }
		for range 80 {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			m := newModel(t, seed)
			m.mu.Lock()
			for range 1_200 {
				m.step()
				m.pause(time.Millisecond)
			}
			m.drain()
			m.b.Shut(leat.ErrLeaseLost)
			m.mu.Unlock()
			seen.stragglers += m.seen.stragglers
			seen.lost += m.seen.lost
			seen.returned += m.seen.returned
			seen.delayed += m.seen.delayed
			seen.again += m.seen.again
		}
		for name, n := range map[string]int{
			"left behind for long": seen.stragglers, "lost": seen.lost, "left to the broker": seen.returned, "delayed": seen.delayed,
			"delivered again": seen.again,
		} {
			require.Positive(t, n, "no record was %s", name)
		}
	})
}
