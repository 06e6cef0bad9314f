package book_test

import (
	"testing"

	"github.com/leatgo/leat/adapterkit/book"
	"github.com/stretchr/testify/require"
)

// tell is what the broker is told.
func (m *model) tell(ones bool) {
	for _, w := range m.windows {
		switch m.o.Acks {
		case book.Position:
			w.position(m.t)
		case book.Ranges:
			w.collect(m.t, ones)
		}
		ring, beside := w.w.Ring()
		if m.o.Acks != book.Position {
			require.LessOrEqual(m.t, ring, max(256, 8*m.o.MaxInFlight))
			require.LessOrEqual(m.t, beside, ring)
		}
		m.seen.stragglers = max(m.seen.stragglers, beside)
	}
}

// position checks the watermark, and what is finished above it.
func (w *window) position(t *testing.T) {
	below := 0
	for below < len(w.all) && w.all[below].finished {
		below++
	}
	mark, ok := w.w.Watermark()
	require.Equal(t, below > 0, ok)
	if ok {
		require.Equal(t, w.all[below-1].n, mark.n)
	}
	newest, settled := below, below
	for i := below; i < len(w.all); i++ {
		if w.all[i].finished {
			newest = i + 1
			settled++
		}
	}
	require.Equal(t, newest-below, w.w.Gap())
	require.EqualValues(t, settled, w.w.Settled())
	i := below
	for r, finished := range w.w.Above {
		require.Same(t, w.all[i], r)
		require.Equal(t, w.all[i].finished, finished)
		i++
	}
	require.Equal(t, newest, i)
}

// collect is what RabbitMQ does with acknowledgements. A multiple one for a number that it does not
// wait for would take everything.
func (w *window) collect(t *testing.T, ones bool) {
	c := w.w.Collect(ones)
	require.GreaterOrEqual(t, c.Count, len(c.Rejects)+len(c.Ones))
	told := 0
	tell := func(n uint64) {
		require.True(t, w.all[n-1].finished, "%d is acknowledged, and not finished", n)
		delete(w.broker, n)
		told++
	}
	for _, n := range c.Rejects {
		require.True(t, w.broker[n])
		tell(n)
	}
	if c.UpTo > 0 {
		require.True(t, w.broker[c.UpTo], "the broker does not wait for %d", c.UpTo)
		for n := range w.broker {
			if n <= c.UpTo {
				tell(n)
			}
		}
	}
	for _, n := range c.Ones {
		require.True(t, w.broker[n], "%d by itself", n)
		tell(n)
	}
	require.Equal(t, c.Count, told)
	left, _ := w.w.Uncollected()
	if ones {
		require.Zero(t, left)
		for n := range w.broker {
			require.False(t, w.all[n-1].finished, "%d is finished, and not acknowledged", n)
		}
	}
}
