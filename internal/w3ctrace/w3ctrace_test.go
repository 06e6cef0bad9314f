package w3ctrace_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat/internal/w3ctrace"
	"github.com/stretchr/testify/assert"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
	parent   = "00-" + traceID + "-" + parentID + "-01"
)

func TestIsParent(t *testing.T) {
	for s, want := range map[string]bool{
		parent:                   true,
		"01" + parent[2:]:        true,
		"01" + parent[2:] + "-x": true,
		"01" + parent[2:] + "x":  false,
		"":                       false,
		parent[1:]:               false,
		parent + "-x":            false, // of version 00
		"ff" + parent[2:]:        false,
		strings.ToUpper(parent):  false,
		"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01": false,
		"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01":  false,
		strings.Replace(parent, "-", "_", 1):                     false,
		"01" + parent[2:] + "-" + strings.Repeat("x", 72):        true,
		"01" + parent[2:] + "-" + strings.Repeat("x", 73):        false,
		"01" + parent[2:] + "-a b":                               false,
	} {
		assert.Equal(t, want, w3ctrace.IsParent(s), "%q", s)
	}
}

func TestIsState(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "vendor=1, other=2": true, "a\n": false, "ä": false,
		strings.Repeat("x", 512): true, strings.Repeat("x", 513): false,
	} {
		assert.Equal(t, want, w3ctrace.IsState(s), "%q", s)
	}
}

// TestHexIsOfLowerCase tries every byte in a trace ID.
func TestHexIsOfLowerCase(t *testing.T) {
	for b := range 256 {
		s := parent[:10] + string([]byte{byte(b)}) + parent[11:]
		assert.Equal(t, b >= '0' && b <= '9' || b >= 'a' && b <= 'f', w3ctrace.IsParent(s), "%q", s)
	}
}
