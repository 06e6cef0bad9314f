// Package wire writes CloudEvents into the headers and the body of messages, and reads them.
//
// An adapter says in a [Binding] how its transport spells attributes. A [Writer] gives the headers
// of an event. A [Reader] makes the event of the headers and the body of a message:
//
//	binding := wire.Binding{Prefix: "ce-", ContentType: "content-type", Empty: "leat-data"}
//
//	w := wire.Writer{Binding: binding}
//	maps.Insert(m.header, w.Headers(e))
//	m.body = e.Data()
//
//	var r wire.Reader // of a stream, for all its messages
//	r.Begin(binding, len(m.header))
//	for name, value := range m.header {
//		r.AddText(name, value)
//	}
//	e, err := r.Event(m.body)
//
// This is binary mode. In structured mode the content type is [StructuredType], and the body is
// what [github.com/leatgo/leat.Event.AppendJSON] writes. A Reader reads both: the content type
// decides.
//
// # What is malformed
//
// A Reader knows what other libraries write: names in any case, a header for datacontenttype in
// place of the content type or besides, null headers, which are unset, and values of native types.
// It refuses a message that two readers could read as two events, and one that does not claim to be
// an event, which is [github.com/leatgo/leat/foreign.ErrPlain]. The error is the Reason of a
// [github.com/leatgo/leat.Malformed].
//
// What only one transport has stays in its adapter: compressed bodies, envelopes, limits of
// headers.
package wire
