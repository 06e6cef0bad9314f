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
	// ContentType is the header with the content type, in lower case. It is read in any case. ""
	// means that the transport has a field for it, which a Writer gives under the name "".
	ContentType string
	// TypeIsAttribute says that datacontenttype is a header like other attributes, and that the
	// content type only tells the mode, as on NATS.
	TypeIsAttribute bool
	// Empty is the header that marks empty data. Without it, an empty body is no data. "" means
	// that the transport itself knows the difference.
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
	prefix, name := b.split(header)
	return mode.Lower(name), prefix != ""
}

// split returns the prefix of a header, "" for none, and what follows it. Besides the binding's own
// these are the prefixes of Knative, of libraries for Kafka, of Spring and the SDKs for Java and
// Go, and of the SDKs for Python and C#.
func (b *Binding) split(header string) (prefix, name string) {
	if mode.HasPrefix(header, b.Prefix) {
		return b.Prefix, header[len(b.Prefix):]
	}
	if b.AnyPrefix {
		for _, prefix := range [...]string{"ce-", "ce_", "cloudevents:", "cloudevents_"} {
			if mode.HasPrefix(header, prefix) {
				return prefix, header[len(prefix):]
			}
		}
	}
	return "", ""
}
