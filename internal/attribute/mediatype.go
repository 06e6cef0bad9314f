package attribute

import "strings"

// MediaTypeRule returns the rule of RFC 2046 (with the parameters of RFC 9110 §5.6.6, which may be
// empty) that s breaks, or "".
func MediaTypeRule(s string) string {
	typ, rest := cutToken(s)
	if typ == "" || !strings.HasPrefix(rest, "/") {
		return "is no media type: it has no type and subtype"
	}
	sub, rest := cutToken(rest[1:])
	if sub == "" {
		return "is no media type: it has no subtype"
	}
	for {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" {
			return ""
		}
		if rest[0] != ';' {
			return "is no media type: ';' must follow its subtype"
		}
		rest = strings.TrimLeft(rest[1:], " ")
		name, after := cutToken(rest)
		if name == "" {
			continue // an empty parameter; what else is there fails above
		}
		if !strings.HasPrefix(after, "=") {
			return "is no media type: a parameter has no '='"
		}
		value, after := cutToken(after[1:])
		if value == "" {
			var ok bool
			if after, ok = cutQuoted(after); !ok {
				return "is no media type: a parameter has no value"
			}
		}
		rest = after
	}
}

func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && isClass(s[i], classToken) {
		i++
	}
	return s[:i], s[i:]
}

// cutQuoted cuts a quoted-string off the start of s.
func cutQuoted(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[i+1:], true
		case '\\':
			i++
		}
	}
	return s, false
}

// JSONType and TextType are the content types that events have where nobody says another.
const (
	JSONType = "application/json"
	TextType = "text/plain; charset=utf-8"
)

// Content is how the JSON format writes data of a content type.
type Content uint8

// The kinds of content.
const (
	Binary Content = iota // as base64
	Text                  // as a JSON string
	JSON                  // as it is
)

// ContentOf sorts a valid content type; "" means JSON, as JSON format 1.0.2 §3.1.1 says. Parameters
// do not matter, except that a charset marks text.
func ContentOf(contentType string) Content {
	switch contentType {
	case "", JSONType:
		return JSON
	case TextType:
		return Text
	}
	media, parameters, _ := strings.Cut(contentType, ";")
	typ, sub, _ := strings.Cut(strings.TrimRight(media, " "), "/")
	switch {
	case strings.EqualFold(sub, "json") || hasSuffixFold(sub, "+json"):
		return JSON
	case strings.EqualFold(typ, "text"), strings.EqualFold(sub, "xml"), hasSuffixFold(sub, "+xml"),
		strings.EqualFold(sub, "x-www-form-urlencoded"), strings.EqualFold(sub, "yaml"), hasSuffixFold(sub, "+yaml"),
		strings.Contains(strings.ToLower(parameters), "charset=utf-8"):
		return Text
	}
	return Binary
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
