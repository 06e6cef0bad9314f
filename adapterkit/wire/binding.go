package wire

import "github.com/leatgo/leat/internal/mode"

// StructuredType is the content type of an event in structured mode.
const StructuredType = mode.CloudEvents + "+json; charset=UTF-8"

// Empty is the value of the header Binding.Empty.
const Empty = "empty"

const (
	versionName = "specversion"
	typeName    = "datacontenttype"
)

// Binding says how a transport spells events.
type Binding struct {
	// Prefix is what the headers of attributes begin with: "ce_" on Kafka, "ce-" on most others. It
	// must not be empty.
	Prefix string
	// AnyPrefix reads attributes with the prefixes of other libraries too: "ce-", "ce_",
	// "cloudEvents:" and "cloudEvents_".
	AnyPrefix bool
	// Mixed reads messages whose attributes have different prefixes. Otherwise they are malformed:
	// something on the way left one of them there, and nobody knows which one is meant.
	Mixed bool
	// ContentType is the header with the content type, in lower case. It is read in any case. "" means
	// that the transport has a field for it, which a Writer gives under the name "".
	ContentType string
	// TypeIsAttribute says that datacontenttype is a header like other attributes, and that the
	// content type only tells the mode, as on NATS.
	TypeIsAttribute bool
	// Empty is the header that marks empty data. Without it, an empty body is no data. "" means that
	// the transport itself knows the difference.
	Empty string
	// Percent says that values are percent-encoded, as on HTTP and NATS.
	Percent bool
}

// Mode is the mode of a message.
type Mode uint8

// The modes.
const (
	Binary     Mode = iota // attributes are headers
	Structured             // the body is an event
	Batch                  // the body is a list of events; no transport of Leat has it
)

// ModeOf returns the mode that a content type stands for, whatever its case.
func ModeOf[T string | []byte](contentType T) Mode {
	switch {
	case !mode.HasPrefix(contentType, mode.CloudEvents):
		return Binary
	case mode.HasPrefix(contentType, mode.CloudEvents+"-batch"):
		return Batch
	}
	return Structured
}

// Attribute returns the attribute that a header is, in lower case. ok is false for other headers.
func (b *Binding) Attribute(header string) (name string, ok bool) {
	if i := b.prefixOf(header); i >= 0 {
		return mode.Lower(header[len(b.prefix(i)):]), true
	}
	return "", false
}

// prefix returns the binding's own prefix for 0, and otherwise one of those that libraries write:
// Knative; Spring and the SDKs for Java and Go; the SDKs for Python and C#; those for Kafka.
func (b *Binding) prefix(i int) string {
	if i == 0 {
		return b.Prefix
	}
	return [...]string{"ce-", "cloudevents:", "cloudevents_", "ce_"}[i-1]
}

// prefixOf returns which prefix a header has, or -1.
func (b *Binding) prefixOf(header string) int {
	for i := range 5 {
		if mode.HasPrefix(header, b.prefix(i)) {
			return i
		}
		if !b.AnyPrefix {
			break
		}
	}
	return -1
}
