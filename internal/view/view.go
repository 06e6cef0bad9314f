// Package view shows the bytes of strings without a copy. It is the only place that uses unsafe.
package view

import "unsafe" //nolint:depguard // see Bytes

// Bytes returns the bytes of s, not nil where s is empty. Nobody may write to them, because strings
// do not change.
//
// It is for libraries that want bytes and only read them. Each caller says why it knows that, or
// has a test that would see a write. Who keeps the bytes keeps s.
func Bytes(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // as said
}
