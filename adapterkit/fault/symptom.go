package fault

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// Symptom is something that is wrong, and since when. The zero Symptom says that nothing is. It is
// not safe for concurrent use.
type Symptom struct {
	Err   error     // nil while nothing is wrong
	Since time.Time // when the first of the errors in a row was noted
	Last  time.Time // when the last one was
}

// Set notes an error, or with nil that nothing is wrong any more.
func (s *Symptom) Set(err error) {
	s.Last = time.Now()
	if s.Err == nil {
		s.Since = s.Last
	}
	s.Err = err
}

// Within reports whether something is wrong that was noted less than memory ago. It is for what
// happens once, such as lost data, and for what nobody says the end of.
func (s *Symptom) Within(memory time.Duration) bool {
	return s.Err != nil && time.Since(s.Last) < memory
}

// Symptoms are the symptoms of parts, such as the partitions of a topic. The zero Symptoms work.
// They are not safe for concurrent use.
type Symptoms[K cmp.Ordered] struct{ parts map[K]*Symptom }

// Set notes an error of a part, or with nil that nothing is wrong with it any more.
func (s *Symptoms[K]) Set(part K, err error) {
	if err == nil {
		delete(s.parts, part)
		return
	}
	if s.parts == nil {
		s.parts = map[K]*Symptom{}
	}
	if s.parts[part] == nil {
		s.parts[part] = &Symptom{}
	}
	s.parts[part].Set(err)
}

// Has reports whether something is wrong with a part.
func (s *Symptoms[K]) Has(part K) bool { return s.parts[part] != nil }

// None reports whether nothing is wrong with any part.
func (s *Symptoms[K]) None() bool { return len(s.parts) == 0 }

// All returns the parts with which something is wrong, in order.
func (s *Symptoms[K]) All() iter.Seq2[K, *Symptom] {
	return func(yield func(K, *Symptom) bool) {
		for _, part := range slices.Sorted(maps.Keys(s.parts)) {
			if !yield(part, s.parts[part]) {
				return
			}
		}
	}
}

// Health makes an [*leat.Error] of health, whose text ends with the time since when err holds. A
// context that ended was the adapter's own, because nobody answered in time: [leat.CodeCanceled]
// becomes [leat.CodeUnavailable]. An empty topic means the whole broker.
//
// A nil err stays nil.
func Health(topic string, code leat.Code, since time.Time, err error) error {
	if err == nil {
		return nil
	}
	if code == leat.CodeCanceled {
		code = leat.CodeUnavailable
	}
	return &leat.Error{Op: "health", Topic: topic, Code: code, Err: &ailment{inner(err), since}}
}

// ailment is an error with the time since when it holds.
type ailment struct {
	error

	since time.Time
}

func (a *ailment) Error() string {
	return a.error.Error() + ", since " + a.since.UTC().Format(time.RFC3339)
}

func (a *ailment) Unwrap() error { return a.error }
