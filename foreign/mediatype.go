package foreign

import (
	"errors"
	"strings"

	"github.com/leatgo/leat/internal/mode"
)

const (
	contentTypeHeader = "content-type"
	octetStream       = "application/octet-stream"
)

var errContentTypes = errors.New("the message has two content types that contradict each other")

// contentTypeOf returns the content type of a message. A Kafka record can have several, which must
// differ in case only.
func contentTypeOf(m Message) (string, notes, error) {
	if m.Properties != nil {
		return m.ContentType, nil, nil
	}
	first, found := m.ContentType, false
	var n notes
	for _, h := range m.Headers {
		value := string(h.Value)
		switch {
		case h.Value == nil || mode.Lower(h.Name) != contentTypeHeader:
			continue
		case !found:
			first = value
		case !strings.EqualFold(value, first):
			return "", nil, errContentTypes
		default:
			n.add(attrContentType, "content-type is there twice", value)
		}
		found = true
	}
	return first, n, nil
}

// mendContentType makes the content type of a message whose attributes are headers its
// datacontenttype. spring-amqp writes application/octet-stream beside the real one, others write
// the two in different case.
func mendContentType(r *repair, contentType string) error {
	if text, ok := quoted(contentType); ok {
		r.notes.add(attrContentType, "JSON quotes removed", contentType)
		contentType = text
	}
	a := r.get(attrContentType)
	switch {
	case contentType == "":
	case mode.HasPrefix(contentType, mode.CloudEvents): // as in an example of Knative's specification
		r.notes.add(attrContentType, "the content type of structured mode, removed", contentType)
	case a == nil:
		r.add(attrContentType, contentType)
	case a.text == contentType:
	case alike(a.text, contentType):
		r.notes.add(attrContentType, "two that differ in form only", a.text)
		a.set(contentType)
	case alike(contentType, a.text):
		r.notes.add(attrContentType, "two that differ in form only", contentType)
	case strings.EqualFold(contentType, octetStream):
		r.notes.add(attrContentType, "the attribute, not the default", contentType)
	default:
		return errContentTypes
	}
	return nil
}

// alike reports whether b says what a does: the two differ in case only, or b has parameters and a
// has none.
func alike(a, b string) bool {
	media, parameters, _ := strings.Cut(b, ";")
	return strings.EqualFold(a, b) || strings.TrimSpace(parameters) != "" && strings.EqualFold(a, strings.TrimSpace(media))
}
