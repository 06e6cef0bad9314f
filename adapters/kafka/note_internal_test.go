package kafka

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// anyNote draws a note whose spans follow each other at distances of all sizes.
func anyNote(r *rand.Rand) note {
	n := note{base: r.Int64N(1 << 50), epoch: r.Int32N(math.MaxInt32) - 1, missing: r.Int64N(1 << 40), above: spans{}}
	binary.BigEndian.PutUint64(n.topic[:], r.Uint64())
	widths := []int64{1, 2, 10, 1_000, 1 << 40}
	width := widths[r.IntN(len(widths))]
	at := n.base
	for range r.IntN(200) {
		from := at + 1 + r.Int64N(width)
		at = from + 1 + r.Int64N(width)
		n.above = append(n.above, span{from, at})
	}
	return n
}

// TestNoteComesBack: what is written is read, and a note that must be shorter leaves out spans, and
// nothing else.
func TestNoteComesBack(t *testing.T) {
	for range 2_000 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		n := anyNote(r)
		text, missing := n.encode(math.MaxInt)
		back, ok := parseNote(text)
		require.True(t, ok, "seed %d: %s", seed, text)
		require.Regexp(t, "^leat3:[A-Za-z0-9_-]*$", text)
		require.Equal(t, n.missing, missing, "seed %d", seed)
		require.Equal(t, n, back, "seed %d", seed)

		limit := r.IntN(len(text) + 1)
		text, missing = n.encode(limit)
		require.LessOrEqual(t, len(text), limit, "seed %d", seed)
		if text == "" {
			require.Equal(t, n.missing+n.above.count(), missing, "seed %d", seed)
			continue
		}
		some, ok := parseNote(text)
		require.True(t, ok, "seed %d", seed)
		require.Equal(t, missing, some.missing, "seed %d", seed)
		require.Equal(t, n.missing+n.above.count(), some.missing+some.above.count(), "seed %d", seed)
		require.Equal(t, n.above.count(), n.above.union(some.above).count(), "seed %d: it calls an event finished that is not", seed)
	}
}

// TestNoteOfAFullWindow: what is unfinished at MaxInFlight and GapLimit fits, wherever it lies.
func TestNoteOfAFullWindow(t *testing.T) {
	for name, unfinished := range map[string]func(i int) int64{
		"even":   func(i int) int64 { return int64(i) * 100 },
		"random": func(int) int64 { return rand.Int64N(100_000) },
		"dense":  func(i int) int64 { return int64(i) * 2 },
		"ends":   func(i int) int64 { return int64(i) + int64(i%2)*98_000 },
	} {
		t.Run(name, func(t *testing.T) {
			open := map[int64]bool{0: true}
			for i := range 1_000 {
				open[unfinished(i)] = true
			}
			n := note{base: 1 << 40, epoch: 12}
			for offset := range int64(100_000) {
				if !open[offset] {
					n.above = n.above.add(span{n.base + offset, n.base + offset + 1})
				}
			}
			text, missing := n.encode(mostNote)
			assert.Zero(t, missing)
			back, ok := parseNote(text)
			require.True(t, ok)
			assert.Equal(t, n.above, back.above)
			t.Logf("%d spans in %d bytes", len(n.above), len(text))
		})
	}
}

// TestForeignMetadata: what others write, what a later version may write, and what was cut or
// changed says nothing.
func TestForeignMetadata(t *testing.T) {
	n := note{base: 5, epoch: 1, above: spans{{7, 9}, {20, 1_000}}}
	text := n.text()
	for _, foreign := range []string{
		"", "leat", "leat3:", "leat3:!", "leat3:AAAA", "leat2:" + strings.TrimPrefix(text, notePrefix), text[:len(text)-1], text + "A",
		"kgo-0b8d6e5c", "NO_METADATA", "AgAAAYs", strings.ToUpper(text), "{\"v\":1}",
	} {
		_, ok := parseNote(foreign)
		assert.False(t, ok, foreign)
	}
	for i := len(notePrefix); i < len(text)-1; i++ { // bits of the last character are padding
		other := byte('A')
		if text[i] == other {
			other = 'B'
		}
		_, ok := parseNote(text[:i] + string(other) + text[i+1:])
		assert.False(t, ok, "character %d", i)
	}
}

func FuzzNote(f *testing.F) {
	for _, n := range []note{
		{}, {base: 5, epoch: 1, above: spans{{7, 9}, {20, 1_000}}},
		{base: 1 << 60, epoch: 9, missing: 3, above: spans{{1<<60 + 1, 1 << 61}}},
	} {
		f.Add(n.text())
	}
	f.Add("leat3:")
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := parseNote(text)
		if !ok {
			return
		}
		last := n.base
		for _, s := range n.above {
			require.Greater(t, s.from, last)
			require.Greater(t, s.to, s.from)
			last = s.to
		}
		back, ok := parseNote(n.text())
		require.True(t, ok)
		require.Equal(t, n, back)
	})
}

func BenchmarkNote(b *testing.B) {
	for _, size := range []struct {
		name string
		runs int
	}{{"1", 1}, {"100", 100}, {"1000", 1_000}, {"5000", 5_000}} {
		n := note{base: 1 << 40, epoch: 12}
		at := n.base
		for range size.runs {
			at += 1 + rand.Int64N(3)
			to := at + 1 + rand.Int64N(200)
			n.above = n.above.add(span{at, to})
			at = to
		}
		b.Run("encode/"+size.name, func(b *testing.B) {
			b.ReportAllocs()
			length := 0
			for b.Loop() {
				text, _ := n.encode(mostNote)
				length = len(text)
			}
			b.ReportMetric(float64(length), "bytes")
		})
		text, _ := n.encode(mostNote)
		b.Run("parse/"+size.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := parseNote(text); !ok {
					b.Fatal("it is not read")
				}
			}
		})
	}
}
