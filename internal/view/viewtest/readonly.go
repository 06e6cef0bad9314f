// Package viewtest sees who writes to the bytes of a string.
package viewtest

import (
	"strings"
	"sync"
	"testing"
)

// ReadOnly fails t where read, which gets the bytes of strings by view.Bytes, writes to them. It
// calls read with s, with every beginning of s, and with s where a byte is another one: what a
// library does with damaged data counts too. Two goroutines read the same bytes at once, so that
// the race detector sees a write that is undone.
func ReadOnly(t testing.TB, s string, read func(s string)) {
	t.Helper()
	for i := range len(s) {
		inverted := []byte(s)
		inverted[i] ^= 0xff
		readOnly(t, s[:i], read)
		readOnly(t, string(inverted), read)
	}
	readOnly(t, s, read)
}

func readOnly(t testing.TB, s string, read func(s string)) {
	t.Helper()
	own := strings.Clone(s) // a write to the bytes of a constant would be a crash
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { read(own) })
	}
	wg.Wait()
	if own != s {
		t.Errorf("the bytes of a string were written to: they were %q and are %q", s, own)
	}
}
