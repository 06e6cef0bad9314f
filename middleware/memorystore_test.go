package middleware_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/middleware"
)

func seen(t *testing.T, s *middleware.MemoryStore, key string) bool {
	t.Helper()
	ok, err := s.Seen(t.Context(), key)
	require.NoError(t, err)
	return ok
}

func TestMemoryStoreIsBounded(t *testing.T) {
	s := middleware.NewMemoryStore(3, 0)
	for i := range 5 {
		require.NoError(t, s.Mark(t.Context(), strconv.Itoa(i)))
		assert.True(t, seen(t, s, strconv.Itoa(i)))
	}
	assert.Equal(t, 3, s.Len())
	for i, want := range []bool{false, false, true, true, true} {
		assert.Equal(t, want, seen(t, s, strconv.Itoa(i)), "key %d of 5", i)
	}
}

func TestMemoryStoreMarkingAgainRenews(t *testing.T) {
	s := middleware.NewMemoryStore(2, 0)
	for _, key := range []string{"a", "b", "a", "c"} {
		require.NoError(t, s.Mark(t.Context(), key))
	}
	assert.True(t, seen(t, s, "a"))
	assert.False(t, seen(t, s, "b"), "a was marked after b")
	assert.True(t, seen(t, s, "c"))
	assert.Equal(t, 2, s.Len())
}

func TestMemoryStoreKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := middleware.NewMemoryStore(0, time.Minute)
		require.NoError(t, s.Mark(t.Context(), "a"))
		time.Sleep(time.Minute - time.Nanosecond)
		assert.True(t, seen(t, s, "a"))
		require.NoError(t, s.Mark(t.Context(), "b"))
		time.Sleep(time.Nanosecond)
		assert.False(t, seen(t, s, "a"), "its time is over, and being asked for did not renew it")
		assert.True(t, seen(t, s, "b"))
		assert.Equal(t, 1, s.Len())
		require.NoError(t, s.Mark(t.Context(), "a"))
		assert.True(t, seen(t, s, "a"), "it can be marked again")
		time.Sleep(time.Hour)
		require.NoError(t, s.Mark(t.Context(), "c"))
		assert.Equal(t, 1, s.Len())
	})
}

func TestMemoryStoreDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := middleware.NewMemoryStore(0, 0)
		for i := range 100_001 {
			require.NoError(t, s.Mark(t.Context(), strconv.Itoa(i)))
		}
		assert.Equal(t, 100_000, s.Len())
		time.Sleep(10_000 * time.Hour)
		assert.True(t, seen(t, s, "100000"), "without a ttl keys do not expire")
		assert.False(t, seen(t, s, "0"))
	})
}

func TestMemoryStoreIsSafeForConcurrentUse(t *testing.T) {
	s := middleware.NewMemoryStore(50, time.Microsecond)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				key := fmt.Sprint(worker%2, i)
				_ = s.Mark(t.Context(), key)
				_, _ = s.Seen(t.Context(), key)
				_ = s.Len()
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, s.Len(), 50)
}

func BenchmarkMemoryStore(b *testing.B) {
	s := middleware.NewMemoryStore(10_000, time.Hour)
	keys := make([]string, 20_000)
	for i := range keys {
		keys[i] = "6:orders 7:billing 5:/shop " + strconv.Itoa(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := keys[i%len(keys)]
		_, _ = s.Seen(b.Context(), key)
		_ = s.Mark(b.Context(), key)
	}
}
