package kafka

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// notesModel is a partition, the group's commit, and the stream that has the partition now.
type notesModel struct {
	*loose

	t    *testing.T
	r    *rand.Rand
	name string
	log  []*kgo.Record

	committed commit
	fed       int // index in log of the next record that the client fetches
	out       []leat.Delivery
	handled   map[int64]int
}

func newNotesModel(t *testing.T, seed uint64) *notesModel {
	t.Helper()
	m := &notesModel{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), name: fmt.Sprint("seed ", seed), committed: commit{offset: -1}, handled: map[int64]int{},
	}
	offset, epoch := m.r.Int64N(100), int32(0)
	for range 20 + m.r.IntN(300) {
		e, err := leat.NewEvent("t", &leat.EventOptions{ID: strconv.FormatInt(offset, 10), Source: "/s"})
		require.NoError(t, err)
		r, err := EncodeRecord(e)
		require.NoError(t, err)
		r.Topic, r.Offset, r.LeaderEpoch = "t", offset, epoch
		m.log = append(m.log, r)
		offset += 1 + m.r.Int64N(3)*m.r.Int64N(2) // compaction and transactions leave out offsets
		epoch += int32(m.r.IntN(40) / 39)
	}
	return m
}

// start is a process that gets the partition.
func (m *notesModel) start() {
	m.loose = newLoose(m.t, 1<<20)
	m.broker.o.GapLimit, m.broker.o.Logger = 1<<20, slog.New(slog.DiscardHandler)
	m.sub.MaxInFlight = 1 + m.r.IntN(50)
	offset := kgo.NewOffset().AtStart()
	if m.committed.offset >= 0 {
		offset = kgo.NewOffset().At(m.committed.offset)
	}
	n, ok := parseNote(m.committed.note)
	if !ok || n.base != m.committed.offset {
		n = note{base: -1}
	}
	m.notes = map[int32]readNote{0: {note: n, text: m.committed.note}}
	m.resume(map[int32]kgo.Offset{0: offset})
	m.out = nil
	m.fed, _ = slices.BinarySearchFunc(m.log, m.committed.offset, func(r *kgo.Record, at int64) int { return int(r.Offset - at) })
}

// step fetches, delivers or settles something. What is stuck is never acked.
func (m *notesModel) step(stuck map[int64]bool) {
	switch m.r.IntN(3) {
	case 0:
		n := min(m.r.IntN(20), len(m.log)-m.fed)
		m.mu.Lock()
		m.takePartition(m.tenures[0], &kgo.FetchPartition{Records: slices.Clone(m.log[m.fed : m.fed+n])})
		m.mu.Unlock()
		m.fed += n
	case 1:
		_, got := m.get(1 + m.r.IntN(20))
		m.out = append(m.out, got...)
	case 2:
		m.r.Shuffle(len(m.out), func(i, j int) { m.out[i], m.out[j] = m.out[j], m.out[i] })
		n := m.r.IntN(len(m.out) + 1)
		m.out = slices.DeleteFunc(m.out, func(d leat.Delivery) bool {
			n--
			switch {
			case n < 0:
				return false
			case stuck[d.Position.Offset] || m.r.IntN(10) == 0:
				m.settle(leat.GiveBack, d)
			default:
				m.handled[d.Position.Offset]++
				m.settle(leat.Ack, d)
			}
			return true
		})
	}
}

// commit commits, with a note of at most limit bytes, and checks that it calls nothing finished
// that is not.
func (m *notesModel) commit(limit int) {
	for _, p := range m.gather(m.all()) {
		text, _ := "", int64(0)
		if len(p.note.above) > 0 {
			text, _ = p.note.encode(limit)
		}
		m.committed = commit{p.at.Offset, text}
		p.tenure.committed, p.tenure.counted = m.committed, p.settled
		n, _ := parseNote(text)
		for _, r := range m.log {
			if r.Offset < p.at.Offset || n.above.has(r.Offset) {
				require.Positive(m.t, m.handled[r.Offset], "%s: offset %d is committed as finished", m.name, r.Offset)
			}
		}
	}
}

// TestNotesModel plays processes that follow each other, with events that do not finish,
// give-backs, gaps in the offsets and leaders that change. Nothing is lost; after stops in order
// nothing is handled twice; at the end all is committed.
func TestNotesModel(t *testing.T) {
	for range 300 {
		seed := rand.Uint64()
		m := newNotesModel(t, seed)
		limit, crashes := mostNote, m.r.IntN(2) == 0
		if crashes {
			limit = m.r.IntN(200) // too small for what there is, too
		}
		stuck := map[int64]bool{}
		for range 1 + m.r.IntN(5) {
			stuck[m.log[m.r.IntN(len(m.log))].Offset] = true
		}
		for range 5 {
			m.start()
			for range m.r.IntN(100) {
				m.step(stuck)
				if m.r.IntN(10) == 0 {
					m.commit(limit)
				}
			}
			if !crashes || m.r.IntN(2) == 0 {
				m.commit(limit)
			}
		}
		m.start()
		for range 5_000 {
			m.step(nil)
		}
		m.commit(limit)
		last := m.log[len(m.log)-1].Offset
		require.Equal(t, commit{offset: last + 1}, m.committed, m.name)
		for _, r := range m.log {
			require.Positive(t, m.handled[r.Offset], "%s: offset %d is lost", m.name, r.Offset)
			if !crashes {
				require.Equal(t, 1, m.handled[r.Offset], "%s: offset %d is handled again", m.name, r.Offset)
			}
		}
	}
}

// TestNoteOfATruncatedLog: where the log was truncated and written anew, what stands there now is
// delivered.
func TestNoteOfATruncatedLog(t *testing.T) {
	m := newNotesModel(t, 1)
	m.log = m.log[:20]
	for i, r := range m.log {
		r.Offset, r.LeaderEpoch = int64(i), 3
	}
	m.start()
	m.takePartition(m.tenures[0], &kgo.FetchPartition{Records: slices.Clone(m.log)})
	for len(m.out) < 20 {
		_, got := m.get(20)
		m.out = append(m.out, got...)
		for i := range m.out {
			if m.out[i].Position.Offset > 0 && m.handled[m.out[i].Position.Offset] == 0 {
				m.handled[m.out[i].Position.Offset]++
				m.settle(leat.Ack, m.out[i])
			}
		}
	}
	m.commit(mostNote)
	require.Equal(t, int64(0), m.committed.offset)
	for _, r := range m.log[10:] {
		r.LeaderEpoch = 4
	}
	m.start()
	m.takePartition(m.tenures[0], &kgo.FetchPartition{Records: slices.Clone(m.log)})
	var offsets []int64
	for len(offsets) < 11 {
		_, got := m.get(20)
		require.NotEmpty(t, got, "%v", offsets)
		for i := range got {
			offsets = append(offsets, got[i].Position.Offset)
			m.handled[got[i].Position.Offset]++
		}
		m.settle(leat.Ack, got...)
	}
	require.Equal(t, []int64{0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, offsets)
	m.commit(mostNote)
	require.Equal(t, commit{offset: 20}, m.committed)
}

func BenchmarkGather(b *testing.B) {
	for _, done := range []int{0, 1_000, 100_000} {
		b.Run(strconv.Itoa(done), func(b *testing.B) {
			l := newLoose(b, 1<<30)
			l.sub.MaxInFlight = done + 1
			l.keepBook()
			l.begin(0)
			t := l.tenures[0]
			for i := range done + 1 {
				t.push(&leat.Delivery{}, 1, place{offset: int64(i)})
			}
			deliveries := make([]leat.Delivery, done+1)
			l.book.Fill(deliveries)
			for n := 1; n <= done; n++ {
				if n%100 > 0 {
					l.Settle(&deliveries[n], leat.Settlement{Action: leat.Ack})
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				t.finished()
			}
		})
	}
}
