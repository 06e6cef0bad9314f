package brokertest_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestCacheIsFilledOnceAndWhole(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files are not locked there")
	}
	path := filepath.Join(t.TempDir(), "broker")
	broken := errors.New("half way")
	require.ErrorIs(t, brokertest.Fill(path, func(temporary string) error {
		return errors.Join(broken, os.WriteFile(temporary, []byte("half"), 0o600))
	}), broken)
	require.NoFileExists(t, path, "what failed is not left")

	var (
		made atomic.Int32
		all  sync.WaitGroup
	)
	for range 8 {
		all.Go(func() {
			assert.NoError(t, brokertest.Fill(path, func(temporary string) error {
				made.Add(1)
				return os.WriteFile(temporary, []byte("whole"), 0o600)
			}))
			text, err := os.ReadFile(path)
			assert.NoError(t, err)
			assert.Equal(t, "whole", string(text))
		})
	}
	all.Wait()
	require.EqualValues(t, 1, made.Load())
}
