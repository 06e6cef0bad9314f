package kafka

import (
	"cmp"
	"slices"
)

// returned is a record that was given back.
type returned struct {
	tenure *tenure
	number uint64
}

// holding is a key that is held back.
type holding struct {
	out     int        // records of it that are delivered and not settled
	waiting []returned // those that are to be delivered again, and new ones behind them
}

// holding returns what is known of a key that is held back, nil for others and for no key.
func (s *Stream) holding(key string) *holding {
	if len(s.blocked) == 0 || key == "" {
		return nil
	}
	return s.blocked[key]
}

// sortReturns decides about what was given back: without a key it may be delivered again at once; the records of a key when nothing of it
// is out any more, in order, and before what comes after them.
func (s *Stream) sortReturns() {
	s.blockKeys()
	for key, h := range s.blocked {
		if h.out > 0 {
			continue
		}
		slices.SortFunc(h.waiting, func(a, b returned) int { return cmp.Compare(a.number, b.number) })
		s.again = append(s.again, h.waiting...)
		delete(s.blocked, key)
	}
}

// blockKeys enters what was given back since the last time.
func (s *Stream) blockKeys() {
	if len(s.returns) == 0 {
		return
	}
	fresh := map[string]*holding{}
	for _, r := range s.returns {
		if r.tenure.draining {
			continue
		}
		key := r.tenure.window.at(r.number).key()
		if key == "" {
			s.again = append(s.again, r)
			s.held++
			continue
		}
		h := s.blocked[key]
		if h == nil {
			h = &holding{}
			s.blocked[key], fresh[key] = h, h
			s.again = slices.DeleteFunc(s.again, func(other returned) bool { // what waits there comes after r, or before it
				mine := other.tenure.window.at(other.number).key() == key
				if mine {
					h.waiting = append(h.waiting, other)
				}
				return mine
			})
		}
		h.waiting = append(h.waiting, r)
		s.held++
	}
	s.returns = s.returns[:0]
	if len(fresh) == 0 {
		return
	}
	for _, t := range s.tenures {
		w := &t.window
		for n := w.first; n < w.next; n++ {
			slot := w.at(n)
			if h := fresh[slot.key()]; h != nil && slot.state == slotOut {
				h.out++
			}
		}
	}
}
