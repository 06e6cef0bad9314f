package lifecycle_test

import (
	"testing"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/stretchr/testify/require"
)

// TestMemoIsBounded: names that come again and again are remembered, and any number of others takes
// no more memory than a thousand.
func TestMemoIsBounded(t *testing.T) {
	t.Parallel()
	var m lifecycle.Memo[int, string]
	_, ok := m.Load(1)
	require.False(t, ok)
	require.Equal(t, "a", m.LoadOrStore(1, "a"))
	require.Equal(t, "a", m.LoadOrStore(1, "b"))
	m.Delete(1)
	m.Delete(1)
	require.Equal(t, "b", m.LoadOrStore(1, "b"))
	for name := range 100_000 {
		m.LoadOrStore(name, "x")
	}
	known := 0
	for name := range 100_000 {
		if _, ok := m.Load(name); ok {
			known++
		}
	}
	require.LessOrEqual(t, known, 1000)
}

// TestMemoBeyondItsBound: a thousand names are remembered, and a few more cost a few look-ups, not
// all of them.
func TestMemoBeyondItsBound(t *testing.T) {
	t.Parallel()
	missed := func(names int) float64 {
		const rounds = 50
		var m lifecycle.Memo[int, int]
		n := 0
		for range rounds {
			for name := range names {
				if _, ok := m.Load(name); !ok {
					n++
					m.LoadOrStore(name, name)
				}
			}
		}
		return float64(n) / float64(rounds*names)
	}
	require.InDelta(t, 0.02, missed(1000), 1e-9, "each is missed in the first round")
	beyond := missed(1010)
	t.Logf("with 1,010 names, %.0f of 100 look-ups miss", 100*beyond)
	require.Less(t, beyond, 0.5)
}
