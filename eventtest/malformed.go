package eventtest

import (
	"bytes"
	"slices"

	"github.com/leatgo/leat"
)

// malformed returns a message that is not a CloudEvent: the n-th of the harness's own, where its
// broker cannot carry every byte, else m.
func (r *run) malformed(n int, m leat.Malformed) leat.Malformed {
	own, ok := r.h.(Malformer)
	if !ok {
		return m
	}
	given := own.Malformed(n)
	if len(given.Body) == 0 {
		r.failf("Malformer: message %d has no body, by which the suite tells messages apart", n)
	}
	given.Headers, given.Reason = slices.Clone(given.Headers), m.Reason
	return given
}

// largeMalformed does the same for a message with a body of about size bytes. That of a harness is
// repeated, in characters that its broker carries.
func (r *run) largeMalformed(n, size int, m leat.Malformed) leat.Malformed {
	if m = r.malformed(n, m); len(m.Body) < size {
		m.Body = bytes.Repeat(m.Body, size/len(m.Body))
	}
	return m
}

// valuesOf returns the values of a header in their order.
func valuesOf(headers []leat.Header, name string) (values [][]byte) {
	for _, h := range headers {
		if h.Name == name {
			values = append(values, h.Value)
		}
	}
	return values
}

// expectHeaders looks for the headers of an injected message. The transport may have added others,
// and may have no order of names; the values of one name are in theirs. A transport whose headers
// are a map has one value of each name.
func (r *run) expectHeaders(injected leat.Malformed, m *leat.Malformed) {
	for i, h := range injected.Headers {
		want, got := valuesOf(injected.Headers, h.Name), valuesOf(m.Headers, h.Name)
		if slices.IndexFunc(injected.Headers, func(other leat.Header) bool { return other.Name == h.Name }) < i {
			continue // it was looked at
		}
		if len(got) == 1 && slices.ContainsFunc(want, func(v []byte) bool { return bytes.Equal(v, got[0]) }) {
			continue
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			r.notef("the header %s came with the values %q, and was injected with %q", h.Name, got, want)
		}
	}
}
