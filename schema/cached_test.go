package schema_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counted is a Reader that counts calls, and takes a second for each.
type counted struct {
	schema.Reader

	calls atomic.Int64
	err   atomic.Pointer[leat.Error]
	takes time.Duration
}

func (c *counted) ByRef(ctx context.Context, r schema.Ref) (*schema.Schema, error) {
	c.calls.Add(1)
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := c.err.Load(); err != nil {
		return nil, err
	}
	return c.Reader.ByRef(ctx, r)
}

func cached(t testing.TB, c *counted, o *schema.CacheOptions) schema.Reader {
	t.Helper()
	r, err := schema.Cached(c, o)
	require.NoError(t, err)
	return r
}

var one, latest = schema.Ref{Subject: "orders", Version: 1}, schema.Ref{Subject: "orders"}

// Goroutines that want the same make one call, and one that gives up does not end it.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Reader: orders(t), takes: time.Second}
		r := cached(t, c, nil)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i == 0 {
					cancel()
				}
				_, err := r.ByRef(ctx, one)
				if i == 0 && err != nil {
					assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err))
					return
				}
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, c.calls.Load())
		time.Sleep(24 * time.Hour)
		_, err := r.ByRef(t.Context(), one)
		require.NoError(t, err)
		assert.EqualValues(t, 1, c.calls.Load(), "a version never changes")
	})
}

func TestLatestIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := orders(t)
		c := &counted{Reader: m}
		r := cached(t, c, &schema.CacheOptions{Latest: time.Minute})
		version := func() int {
			s, err := r.ByRef(t.Context(), latest)
			require.NoError(t, err)
			return s.Version
		}
		require.Equal(t, 2, version())
		_, err := m.Register(t.Context(), "orders", text("30"))
		require.NoError(t, err)
		time.Sleep(59 * time.Second)
		assert.Equal(t, 2, version())
		time.Sleep(time.Second)
		assert.Equal(t, 3, version())

		c.err.Store(&leat.Error{Op: "find", Code: leat.CodeUnavailable, Err: errors.New("down")})
		time.Sleep(time.Minute)
		before := c.calls.Load()
		for range 10 {
			assert.Equal(t, 3, version(), "an old answer is better than none")
		}
		assert.Equal(t, before+1, c.calls.Load(), "and the registry is left alone")
		c.err.Store(nil)
		_, err = m.Register(t.Context(), "orders", text("40"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, 4, version())
	})
}

func TestErrorsAreRememberedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := orders(t)
		c := &counted{Reader: m}
		r := cached(t, c, nil)
		ask := func() error {
			_, err := r.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 3})
			return err
		}
		hasCode(t, ask(), leat.CodeNotFound)
		_, err := m.Register(t.Context(), "orders", text("30"))
		require.NoError(t, err)
		hasCode(t, ask(), leat.CodeNotFound)
		time.Sleep(30 * time.Second)
		require.NoError(t, ask())
		assert.EqualValues(t, 2, c.calls.Load())

		c.err.Store(&leat.Error{Op: "find", Code: leat.CodeUnavailable, Err: errors.New("down")})
		for range 5 {
			_, err := r.ByRef(t.Context(), one)
			hasCode(t, err, leat.CodeUnavailable)
		}
		assert.EqualValues(t, 3, c.calls.Load())
		c.err.Store(nil)
		time.Sleep(time.Second)
		_, err = r.ByRef(t.Context(), one)
		require.NoError(t, err)
	})
}

// Names that somebody invents take no older answer away.
func TestOlderAnswerWhileMuchIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := cached(t, &counted{Reader: orders(t)}, nil)
		latest := schema.Ref{Subject: "orders"}
		_, err := r.ByRef(t.Context(), latest)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		for i := range 1_000 {
			_, err := r.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 3 + i})
			hasCode(t, err, leat.CodeNotFound)
		}
		_, err = r.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 2_000})
		hasCode(t, err, leat.CodeExhausted)
		s, err := r.ByRef(t.Context(), latest)
		require.NoError(t, err)
		require.Equal(t, 2, s.Version)
	})
}

// A registry that does not answer is unavailable, and holds nobody up for longer than the timeout.
func TestASilentRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := cached(t, &counted{Reader: orders(t), takes: time.Hour}, &schema.CacheOptions{Timeout: 5 * time.Second})
		began := time.Now()
		_, err := r.ByRef(t.Context(), one)
		hasCode(t, err, leat.CodeUnavailable, "the registry has not answered for 5s")
		assert.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestCacheIsBounded(t *testing.T) {
	m := newMemory(t, schema.None)
	c := &counted{Reader: m}
	r := cached(t, c, &schema.CacheOptions{Bytes: 2_000})
	ask := func(version int) {
		_, err := r.ByRef(t.Context(), schema.Ref{Subject: "s", Version: version})
		require.NoError(t, err)
	}
	for i := range 10 {
		_, err := m.Register(t.Context(), "s", text(strconv.Itoa(i)))
		require.NoError(t, err)
		ask(i + 1)
	}
	require.EqualValues(t, 10, c.calls.Load())
	ask(10)
	require.EqualValues(t, 10, c.calls.Load(), "what was used last stays")
	ask(1)
	require.EqualValues(t, 11, c.calls.Load(), "what was used longest ago is gone")
}

func TestCacheMistakes(t *testing.T) {
	_, err := schema.Cached(nil, nil)
	hasCode(t, err, leat.CodeInvalid, "the Reader is nil")
	_, err = schema.Cached(orders(t), &schema.CacheOptions{Bytes: -1})
	hasCode(t, err, leat.CodeInvalid, "CacheOptions.Bytes is out of its range")
}
