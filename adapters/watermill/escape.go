package watermill

import (
	"errors"
	"net/url"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/internal/attribute"
)

// EscapeName is the extension that carries the metadata of a message that cannot be extensions of
// their own, so that nothing of a message is dropped. Its value is escapeForeign or escapeExtra,
// then "&" and the pairs of name and value as an HTML form has them
// (application/x-www-form-urlencoded), sorted by name: "m1&correlation_id=4711&x-trace=a+b".
const EscapeName = "watermillmeta"

// What the value of the extension begins with: the event was made of a message that is no
// CloudEvent, or of one that is and has further metadata.
const (
	escapeForeign = "m1"
	escapeExtra   = "c1"
)

// uuidName is what Watermill's own marshalers call the UUID among headers, and reserve. It stands
// in the escape where a message that is a CloudEvent has a UUID that differs from the event's id.
const uuidName = "_watermill_message_uuid"

// Bounds of what becomes an extension of its own; everything else is escaped.
const (
	longestName      = 20
	longestValue     = 4 << 10
	longestMediaType = 64 << 10
	mostExtensions   = 40
)

var errEscape = errors.New("the extension " + EscapeName + " is not as this adapter writes it")

// escape returns the value of the extension.
func escape(kind string, metadata message.Metadata) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, name := range wire.Names(metadata) {
		b.WriteByte('&')
		b.WriteString(url.QueryEscape(name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(metadata[name]))
	}
	return b.String()
}

// unescape is the way back. Only what escape can have written is accepted, so that nothing is lost
// on another way back: anything else, broken or not, is not escaped as it was.
func unescape(value string) (kind string, metadata message.Metadata, err error) {
	kind, pairs, more := strings.Cut(value, "&")
	metadata = message.Metadata{}
	for more {
		var pair string
		pair, pairs, more = strings.Cut(pairs, "&")
		name, text, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		metadata[name], _ = url.QueryUnescape(text)
	}
	if kind != escapeForeign && kind != escapeExtra || escape(kind, metadata) != value {
		return "", nil, errEscape
	}
	return kind, metadata, nil
}

// reserved are names that a metadata must not become an extension by: attributes of CloudEvents,
// and what has a meaning of its own.
func reserved(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "partitionkey", EscapeName:
		return true
	}
	return strings.HasPrefix(name, "leat")
}

// isExtension reports whether a metadata can be an extension as it is.
func isExtension(name, value string) bool {
	if name == "" || len(name) > longestName || reserved(name) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return value != "" && len(value) <= longestValue && isText(value)
}

// isText reports whether s is a String of CloudEvents 1.0.2.
func isText(s string) bool { return attribute.TextRule(s) == "" }
