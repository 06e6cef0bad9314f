package protobuf

import "google.golang.org/protobuf/reflect/protoreflect"

// reserved is a range of numbers, from the first to the last.
type reserved struct{ first, last int64 }

func fieldRanges(m protoreflect.MessageDescriptor) (all []reserved) {
	for i := range m.ReservedRanges().Len() {
		r := m.ReservedRanges().Get(i) // without its end
		all = append(all, reserved{int64(r[0]), int64(r[1]) - 1})
	}
	return all
}

func valueRanges(e protoreflect.EnumDescriptor) (all []reserved) {
	for i := range e.ReservedRanges().Len() {
		r := e.ReservedRanges().Get(i) // with its end
		all = append(all, reserved{int64(r[0]), int64(r[1])})
	}
	return all
}

// keeps reports whether the newer version reserves all that the older one does.
func keeps(oldNames, newNames protoreflect.Names, oldRanges, newRanges []reserved) bool {
	return keepsNames(oldNames, newNames) && keepsNumbers(oldRanges, newRanges)
}

// keepsNumbers reports whether all numbers of some ranges are in others, which may be cut in
// another way.
func keepsNumbers(older, newer []reserved) bool {
	for _, own := range older {
		for next := own.first; next <= own.last; {
			covered := next
			for _, r := range newer {
				if r.first <= next && next <= r.last {
					covered = r.last + 1
				}
			}
			if covered == next {
				return false
			}
			next = covered
		}
	}
	return true
}

func keepsNames(older, newer protoreflect.Names) bool {
	for i := range older.Len() {
		if !newer.Has(older.Get(i)) {
			return false
		}
	}
	return true
}
