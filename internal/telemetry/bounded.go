package telemetry

import "strings"

// mostText bounds the value of an attribute, in bytes.
const mostText = 256

// Bounded returns a text as it may be the value of an attribute: cut, and valid UTF-8. Exporters
// drop everything that they send together with a text which is not valid.
func Bounded(text string) string {
	if len(text) > mostText {
		text = text[:mostText]
	}
	return strings.ToValidUTF8(text, "")
}
