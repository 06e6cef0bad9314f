package viewtest_test

import (
	"sync"
	"testing"

	"github.com/leatgo/leat/internal/view"
	"github.com/leatgo/leat/internal/view/viewtest"
	"github.com/stretchr/testify/assert"
)

type failures struct {
	testing.TB

	n int
}

func (f *failures) Helper()               {}
func (f *failures) Errorf(string, ...any) { f.n++ }

func TestReadOnly(t *testing.T) {
	var seen sync.Map
	f := &failures{}
	viewtest.ReadOnly(f, "abc", func(s string) { seen.Store(s, true) })
	assert.Zero(t, f.n)
	for _, s := range []string{"", "a", "ab", "abc", "\x9ebc", "a\x9dc", "ab\x9c"} {
		_, ok := seen.Load(s)
		assert.True(t, ok, "%q", s)
	}
	var once sync.Once
	viewtest.ReadOnly(f, "abc", func(s string) {
		if s == "abc" {
			once.Do(func() { view.Bytes(s)[1] = 'x' })
		}
	})
	assert.Equal(t, 1, f.n)
}
