package memory

import "github.com/leatgo/leat"

// record is one published event, or one message that was delivered raw. Of the latter, event is set
// too where the Mapping made one.
type record struct {
	event leat.Event
	raw   *leat.Malformed
	trace *leat.TraceContext
	seq   uint64
}

func (r *record) size() int {
	if r.event.IsZero() {
		return r.raw.Size()
	}
	return r.event.Size()
}

// history keeps the newest events of a topic, for groups that are declared later.
type history struct {
	ring[record]

	bytes int
}

func (h *history) add(r record, o *Options) {
	if o.NoHistory {
		return
	}
	h.push(r)
	h.bytes += r.size()
	for h.n > o.History || h.n > 0 && h.bytes > o.HistoryBytes {
		old := h.pop()
		h.bytes -= old.size()
	}
}
