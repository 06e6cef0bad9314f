package foreign_test

import (
	"errors"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/mode"
)

var errStrict = errors.New("refused")

// strict reads a message as the adapters do without a Mapping, as far as text headers go. The tests
// of the adapters hold it to that: they have the same outcomes for the same cases.
func strict(m foreign.Message) (leat.Event, error) {
	if mode.IsCompressed(m.Properties["content_encoding"]) {
		return leat.Event{}, errStrict
	}
	prefixes := []string{"ce_"}
	if m.Properties != nil {
		prefixes = []string{"ce-", "cloudevents:", "cloudevents_", "ce_"}
	}
	contentType, types := m.ContentType, 0
	var attributes []leat.Header
	used, version, data := map[string]bool{}, false, m.Body
	for _, h := range m.Headers {
		name := mode.Lower(h.Name)
		if name == "content-type" && m.Properties == nil {
			types++
			contentType = string(h.Value)
		}
		if name == "leat-data" && string(h.Value) == "empty" && m.Properties != nil && data == nil {
			data = []byte{}
		}
		for _, prefix := range prefixes {
			if after, ok := strings.CutPrefix(name, prefix); ok {
				used[prefix] = true
				version = version || after == "specversion" && h.Value != nil
				attributes = append(attributes, leat.Header{Name: after, Value: h.Value})
				break
			}
		}
	}
	structured := mode.HasPrefix(contentType, mode.CloudEvents)
	switch {
	case !structured && !version:
		return leat.Event{}, foreign.ErrPlain
	case types > 1, len(used) > 1 && !structured, structured && !mode.IsJSON(contentType):
		return leat.Event{}, errStrict
	case structured:
		return leat.ParseEvent(m.Body)
	case contentType != "":
		for _, a := range attributes {
			if a.Name == "datacontenttype" && string(a.Value) == contentType {
				return new(leat.Decoder).Decode(attributes, data)
			}
		}
		attributes = append(attributes, leat.Header{Name: "datacontenttype", Value: []byte(contentType)})
	}
	return new(leat.Decoder).Decode(attributes, data)
}
