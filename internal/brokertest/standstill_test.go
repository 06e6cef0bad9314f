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
	answer := func(context.Context) error { return nil }
	p := brokertest.NewProcess(t.TempDir(), func(ctx context.Context) error { return answer(ctx) },
		"/bin/sh", "-c", "while :; do :; done")
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(p.Kill)
	assert.Empty(t, brokertest.Standstill(t.Context(), p), "it answers at once")

	answer = func(context.Context) error {
		time.Sleep(2100 * time.Millisecond) // longer than an answer may take
		return errors.New("no such page")
	}
	note := brokertest.Standstill(t.Context(), p)
	assert.Regexp(t, `^\d\d:\d\d:\d\d: no answer for 2\.\d+s \(no such page\)`, note)
	if runtime.GOOS == "linux" {
		assert.Regexp(t, `; it used [1-9]\d*\.?\d*m?s of processor time and touched \d+ pages anew, \d+ of them from disk$`, note)
	}

	answer = func(context.Context) error {
		time.Sleep(2100 * time.Millisecond) // longer than an answer may take
		return p.Resume()                   // as after a pause
	}
	assert.Empty(t, brokertest.Standstill(t.Context(), p))
	p.Kill()
	assert.Empty(t, brokertest.Standstill(t.Context(), p), "it does not run")
}
