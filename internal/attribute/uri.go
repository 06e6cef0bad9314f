package attribute

import "strings"

// URIRefRule returns the rule of RFC 3986 §4.1 (URI-reference) that s breaks, or "". Nothing is
// normalised.
func URIRefRule(s string) string {
	_, rule := splitURI(s)
	return rule
}

// URIRule returns the rule of RFC 3986 §4.3 (absolute-URI) that s breaks, or "".
func URIRule(s string) string {
	scheme, rule := splitURI(s)
	switch {
	case rule != "":
		return rule
	case !scheme:
		return "is not absolute: it has no scheme"
	case strings.IndexByte(s, '#') >= 0:
		return "has a fragment"
	}
	return ""
}

// splitURI checks s as a URI-reference and reports whether it has a scheme.
func splitURI(s string) (scheme bool, rule string) {
	rest := s
	if i := strings.IndexAny(s, ":/?#"); i >= 0 && s[i] == ':' {
		if i == 0 || !isClass(s[0], classAlpha) {
			return false, "has a ':' in its first segment without a scheme before it"
		}
		for j := range i {
			if !isClass(s[j], classScheme) {
				return false, "has a ':' in its first segment without a scheme before it"
			}
		}
		scheme, rest = true, s[i+1:]
	}
	if strings.HasPrefix(rest, "//") {
		rest = rest[2:]
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if rule := authorityRule(rest[:end]); rule != "" {
			return scheme, rule
		}
		rest = rest[end:]
	}
	state := byte('/') // in the path, then '?' in the query, then '#' in the fragment
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case isClass(c, classURI) || c == '/':
		case c == '%':
			if i+2 >= len(rest) || !isClass(rest[i+1], classHex) || !isClass(rest[i+2], classHex) {
				return scheme, "has a '%' without two hexadecimal digits after it"
			}
			i += 2
		case c == '?':
			if state == '/' {
				state = '?'
			}
		case c == '#' && state != '#':
			state = '#'
		default:
			return scheme, "has a character that a URI cannot have unless it is percent-encoded"
		}
	}
	return scheme, ""
}

// authorityRule checks [userinfo "@"] host [":" port] (RFC 3986 §3.2).
func authorityRule(a string) string {
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		if strings.IndexByte(a[:i], '@') >= 0 {
			return "has two '@' in its authority"
		}
		if rule := regNameRule(a[:i]); rule != "" {
			return rule
		}
		a = a[i+1:]
	}
	if strings.HasPrefix(a, "[") {
		end := strings.IndexByte(a, ']')
		if end < 0 {
			return "has a '[' without its ']'"
		}
		for i := 1; i < end; i++ {
			if !isClass(a[i], classURI) || a[i] == '@' {
				return "has a character in its IP address that cannot be there"
			}
		}
		if a = a[end+1:]; a != "" && a[0] != ':' {
			return "has something other than a port after its IP address"
		}
	}
	host, port := a, ""
	if i := strings.IndexByte(a, ':'); i >= 0 {
		host, port = a[:i], a[i+1:]
	}
	for i := range len(port) {
		if !isClass(port[i], classDigit) {
			return "has a port that is not a number"
		}
	}
	return regNameRule(host)
}

func regNameRule(s string) string {
	for i := 0; i < len(s); i++ {
		switch {
		case isClass(s[i], classURI):
		case s[i] == '%' && i+2 < len(s) && isClass(s[i+1], classHex) && isClass(s[i+2], classHex):
			i += 2
		default:
			return "has a character in its authority that cannot be there"
		}
	}
	return ""
}
