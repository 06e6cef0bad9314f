package foreign

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/leatgo/leat/internal/mode"
)

// springTypesHeader has the Java types of a record's headers.
const springTypesHeader = "spring_json_header_types"

func springTypes(value []byte) map[string]string {
	var types map[string]string
	if json.Unmarshal(value, &types) != nil {
		return nil
	}
	lower := make(map[string]string, len(types))
	for name, java := range types {
		lower[mode.Lower(name)] = java
	}
	return lower
}

// unquote takes the JSON off the values of headers, in h. spring-kafka writes headers as JSON whose
// Java type is not String, and all of them where it is told to. Quotes of a String may be its own,
// so that they stay where nothing else tells.
func unquote(r *repair, h headers) {
	all := false
	for _, x := range h.found {
		if x.name == attrVersion {
			_, all = quoted(x.value)
		}
	}
	for i := range h.found {
		x := &h.found[i]
		text, ok := quoted(x.value)
		java := h.spring[prefixes()[x.prefix]+x.name]
		if ok && (all || neverQuoted(x.name) || java != "" && java != "java.lang.String") {
			r.notes.add(x.name, "JSON quotes removed", x.value)
			x.value = text
		}
	}
}

// neverQuoted reports whether no value of an attribute begins with a quote.
func neverQuoted(name string) bool {
	switch name {
	case attrVersion, attrSource, attrTime, attrContentType, attrSchema, attrSchemaURL:
		return true
	}
	return false
}

// quoted returns the content of a JSON string.
func quoted(value string) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' || !wholeText([]byte(value)) {
		return "", false
	}
	if json.Unmarshal([]byte(value), &text) != nil {
		return "", false
	}
	return text, true
}

// wholeText reports whether encoding/json reads all of a JSON string. It replaces bytes that are
// not UTF-8 and halves of surrogate pairs, which must not happen unnoticed.
func wholeText(raw []byte) bool {
	var text string
	if !utf8.Valid(raw) || json.Unmarshal(raw, &text) != nil {
		return false
	}
	return !strings.ContainsRune(text, utf8.RuneError) || !strings.Contains(strings.ToLower(string(raw)), `\ud`)
}
