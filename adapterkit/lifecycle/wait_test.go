package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSignal(t *testing.T) {
	c := make(chan struct{}, 1)
	lifecycle.Signal(c)
	lifecycle.Signal(c) // which must not block
	assert.Len(t, c, 1)
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		assert.True(t, lifecycle.Sleep(t.Context(), time.Minute))
		assert.Equal(t, time.Minute, time.Since(begin))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.True(t, lifecycle.Sleep(ctx, -time.Second))
		assert.False(t, lifecycle.Sleep(ctx, time.Minute))
		assert.False(t, lifecycle.Sleep(ctx, 0), "ctx has ended")
		assert.Equal(t, time.Minute+time.Second, time.Since(begin))
	})
}

// TestAwait: a call that outlasts its ctx is left alone, and Wait waits for it.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lifecycle.Tasks
		require.ErrorIs(t, g.Await(t.Context(), func() error { return io.EOF }), io.EOF)
		late := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
		defer cancel()
		begin := time.Now()
		err := g.Await(ctx, func() error {
			time.Sleep(time.Minute)
			return nil
		})
		require.ErrorIs(t, err, late)
		assert.Equal(t, time.Second, time.Since(begin))
		g.Wait()
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}

// TestClosing: the first Close closes, others wait for it while their ctx lasts.
func TestClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c lifecycle.Closing
		begin := time.Now()
		require.True(t, c.Begin(t.Context()))
		time.AfterFunc(time.Minute, c.End)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.False(t, c.Begin(ctx))
		assert.Equal(t, time.Second, time.Since(begin))
		assert.False(t, c.Begin(t.Context()))
		assert.Equal(t, time.Minute, time.Since(begin))
		assert.False(t, c.Begin(t.Context()), "it has ended")
	})
}

// TestPause: the wait doubles up to a second, ends with ctx, and begins anew after a success.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		var p lifecycle.Pause
		for range 2 {
			var waits []time.Duration
			for range 7 {
				began := time.Now()
				require.True(t, p.Sleep(t.Context()))
				waits = append(waits, time.Since(began))
			}
			require.Equal(t, []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms}, waits)
			p.Reset()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.False(t, p.Sleep(ctx))
	})
}
