// Package w3ctrace checks the form of the headers of W3C Trace Context.
package w3ctrace

// The longest values that are carried. A traceparent of version 00 has 55 bytes.
const (
	maxParent = 128
	maxState  = 512
)

// IsParent reports whether s is a traceparent (§3.2) of version 00 or a later one:
// version-traceid-parentid-flags, with what later versions may append behind another '-'.
func IsParent(s string) bool {
	const version, traceID, parentID, flags = 2, 3 + 32, 3 + 32 + 17, 55 // where each ends
	switch {
	case len(s) < flags || len(s) > maxParent || s[version] != '-' || s[traceID] != '-' || s[parentID] != '-':
		return false
	case !isLowerHex(s[:version]), !isLowerHex(s[version+1 : traceID]), !isLowerHex(s[traceID+1 : parentID]),
		!isLowerHex(s[parentID+1 : flags]):
		return false
	case s[:version] == "ff" || isZeros(s[version+1:traceID]) || isZeros(s[traceID+1:parentID]):
		return false
	case len(s) == flags:
		return true
	}
	return s[:version] != "00" && s[flags] == '-' && isPrintable(s[flags:], '!')
}

// IsState reports whether s is printable ASCII of 512 bytes at most, as a tracestate is.
func IsState(s string) bool { return len(s) <= maxState && isPrintable(s, ' ') }

// lowerHex is a table because a processor cannot foretell which of random digits are letters:
// comparisons took four times as long.
var lowerHex = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true,
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if !lowerHex[s[i]] {
			return false
		}
	}
	return true
}

func isZeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// isPrintable reports whether s is ASCII from the byte least to '~'.
func isPrintable(s string, least byte) bool {
	for i := range len(s) {
		if s[i] < least || s[i] > '~' {
			return false
		}
	}
	return true
}
