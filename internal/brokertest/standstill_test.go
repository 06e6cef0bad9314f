package brokertest_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStandstill: an answer that takes long is told, with what the process did meanwhile, and none
// of a server that the test itself keeps from answering.
func TestStandstill(t *testing.T) {
	t.Parallel()
	late := func(context.Context) error {
		time.Sleep(2100 * time.Millisecond) // longer than an answer may take
		return nil
	}
	answer := func(context.Context) error { return nil }
	p := brokertest.NewProcess(t.TempDir(), func(ctx context.Context) error { return answer(ctx) },
		"/bin/sh", "-c", "for i in $(seq 100000); do :; done; exec sleep 60")
	t.Cleanup(p.Kill)
	require.NoError(t, p.Start(t.Context()))
	assert.Empty(t, brokertest.Standstill(t.Context(), p), "it answers at once")

	answer = late
	note := brokertest.Standstill(t.Context(), p)
	assert.Regexp(t, `^\d\d:\d\d:\d\d: no answer for \d+(\.\d+)?s`, note)
	if runtime.GOOS == "linux" {
		assert.Regexp(t, `; it used \d+(\.\d+)?m?s of processor time and touched \d+ pages anew, \d+ of them from disk$`, note)
	}

	answer = func(ctx context.Context) error {
		answer = late // after a first one that gives up
		return errors.Join(late(ctx), errors.New("no such page"))
	}
	assert.Regexp(t, `no answer for ([4-9]|\d\d)`, brokertest.Standstill(t.Context(), p))

	require.NoError(t, p.Pause())
	assert.Empty(t, brokertest.Standstill(t.Context(), p), "it is paused")
	require.NoError(t, p.Resume())
	answer = func(ctx context.Context) error { return errors.Join(p.Pause(), late(ctx), p.Resume()) }
	assert.Empty(t, brokertest.Standstill(t.Context(), p), "it was paused meanwhile")
	p.Kill()
	assert.Empty(t, brokertest.Standstill(t.Context(), p), "it does not run")
}
