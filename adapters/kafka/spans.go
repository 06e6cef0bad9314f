package kafka

import "sort"

// span is a run of offsets: from is the first, and to is behind the last.
type span struct{ from, to int64 }

// spans are offsets of one partition: spans in ascending order that neither overlap nor touch.
type spans []span

// count returns how many offsets there are.
func (s spans) count() (n int64) {
	for _, one := range s {
		n += one.to - one.from
	}
	return n
}

// end returns the offset behind the last one; -1 when there is none.
func (s spans) end() int64 {
	if len(s) == 0 {
		return -1
	}
	return s[len(s)-1].to
}

// has reports whether an offset is one of them.
func (s spans) has(offset int64) bool {
	n := sort.Search(len(s), func(i int) bool { return s[i].to > offset })
	return n < len(s) && s[n].from <= offset
}

// below returns the offsets that are less than limit.
func (s spans) below(limit int64) spans {
	n := sort.Search(len(s), func(i int) bool { return s[i].to > limit })
	if n == len(s) || s[n].from >= limit {
		return s[:n:n]
	}
	return append(s[:n:n], span{s[n].from, limit})
}

// absorb returns a position moved over the offsets that begin at it or lie below it, and what is
// left above.
func (s spans) absorb(position int64) (int64, spans) {
	for len(s) > 0 && s[0].from <= position {
		position = max(position, s[0].to)
		s = s[1:]
	}
	return position, s
}

// add appends a span that begins no earlier than the last one does.
func (s spans) add(one span) spans {
	if n := len(s); n > 0 && one.from <= s[n-1].to {
		s[n-1].to = max(s[n-1].to, one.to)
		return s
	}
	return append(s, one)
}

// union returns the offsets that are in s or in other.
func (s spans) union(other spans) spans {
	both := make(spans, 0, len(s)+len(other))
	for len(s) > 0 || len(other) > 0 {
		if len(other) == 0 || len(s) > 0 && s[0].from <= other[0].from {
			both, s = both.add(s[0]), s[1:]
		} else {
			both, other = both.add(other[0]), other[1:]
		}
	}
	return both
}
