package foreign

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// mendScalars makes texts of JSON values that no type of CloudEvents is: fractions, integers of
// more than 32 bits, objects and arrays; and of numbers and booleans in the attributes that
// CloudEvents defines, which are texts.
func mendScalars(r *repair) error {
	for i := range r.attributes {
		a := &r.attributes[i]
		switch {
		case a.kind == kindText:
		case a.kind == kindCompound:
			if isCore(a.name) {
				return attributeError(a.name, "is an object or an array")
			}
			var text bytes.Buffer
			_ = json.Compact(&text, []byte(a.text)) // it was decoded, so that it is JSON
			a.set(text.String())
			r.notes.kept(a.name, "an object or array, kept as JSON text")
		case isCore(a.name):
			a.set(a.text)
			if a.name != attrTime { // which has a rule for numbers
				r.notes.kept(a.name, "a JSON value that is not a string, kept as text")
			}
		case a.kind == kindNumber && !isInteger(a.text):
			a.set(a.text)
			r.notes.kept(a.name, "a number that is not an integer of 32 bits, kept as text")
		}
	}
	return nil
}

// isInteger reports whether a JSON number is one of the type Integer.
func isInteger(text string) bool {
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil
}

// dropEmpty removes optional attributes that are empty, such as the subject of Azure Event Grid.
// CloudEvents wants them to be absent.
func dropEmpty(r *repair) error {
	for _, name := range []string{attrTime, attrContentType, attrSchema, attrSubject} {
		if a := r.get(name); a != nil && a.text == "" {
			r.remove(name)
			r.notes.kept(name, "empty, removed")
		}
	}
	return nil
}
