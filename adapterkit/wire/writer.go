package wire

import (
	"iter"
	"strings"

	"github.com/leatgo/leat"
)

// Writer gives the headers of events. One goroutine uses it. An adapter that keeps its Writer makes
// the names of headers only once. It must not be copied after use.
type Writer struct {
	// Binding says how the transport spells events.
	Binding Binding

	names [32]string // of headers that known does not have
	next  int        // the place in names that is overwritten next
	text  strings.Builder
}

// Headers returns the headers of an event in binary mode: its attributes in the order of
// [github.com/leatgo/leat.Event.Attributes], the content type among them, and then the one that
// marks empty data.
//
// A datacontenttype that says that the data is an event becomes a header like other attributes.
// Otherwise the message would be read in structured mode.
func (w *Writer) Headers(e leat.Event) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) { w.headers(e, yield) }
}

func (w *Writer) headers(e leat.Event, yield func(name, value string) bool) {
	b := &w.Binding
	for name, value := range e.Attributes() {
		header := b.ContentType
		if name != typeName || b.TypeIsAttribute || ModeOf(value) != Binary {
			header = w.Name(name)
			if b.Percent {
				value = escape(value)
			}
		}
		if !yield(header, value) {
			return
		}
	}
	if b.Empty != "" && e.HasData() && e.DataString() == "" {
		yield(b.Empty, Empty)
	}
}

// known returns the headers, with the usual prefixes, of the attributes that most events have.
func known(attribute string) (kafka, others string) {
	switch attribute {
	case versionName:
		return "ce_" + versionName, "ce-" + versionName
	case "id":
		return "ce_id", "ce-id"
	case "source":
		return "ce_source", "ce-source"
	case "type":
		return "ce_type", "ce-type"
	case "time":
		return "ce_time", "ce-time"
	case typeName:
		return "ce_" + typeName, "ce-" + typeName
	case "dataschema":
		return "ce_dataschema", "ce-dataschema"
	case "subject":
		return "ce_subject", "ce-subject"
	case "partitionkey":
		return "ce_partitionkey", "ce-partitionkey"
	case TraceParent:
		return "ce_" + TraceParent, "ce-" + TraceParent
	case TraceState:
		return "ce_" + TraceState, "ce-" + TraceState
	}
	return "", ""
}

// Name returns the header of an attribute.
func (w *Writer) Name(attribute string) string {
	prefix := w.Binding.Prefix
	kafka, others := known(attribute)
	switch {
	case kafka == "":
	case prefix == "ce_":
		return kafka
	case prefix == "ce-":
		return others
	}
	for i := 0; i < len(w.names) && w.names[i] != ""; i++ {
		if w.names[i][len(prefix):] == attribute {
			return w.names[i]
		}
	}
	if w.text.Len() > 1<<10 {
		w.text.Reset() // the names in it stay as they are
	}
	begin := w.text.Len()
	if begin == 0 {
		w.text.Grow(64) // for several names
	}
	w.text.WriteString(prefix)
	w.text.WriteString(attribute)
	name := w.text.String()[begin:]
	w.names[w.next] = name
	w.next = (w.next + 1) % len(w.names)
	return name
}
