package memory

// ordered is what a heap holds: a value that knows whether it comes before another.
type ordered[T any] interface{ before(other T) bool }

// heap is a binary heap with the first element at index 0. It is container/heap without the
// interface calls and boxing.
type heap[T ordered[T]] []T

func (h *heap[T]) push(v T) {
	s := append(*h, v)
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !s[i].before(s[parent]) {
			break
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
	*h = s
}

// pop removes the first element. The heap must not be empty.
func (h *heap[T]) pop() T {
	s := *h
	first, last := s[0], len(s)-1
	var zero T
	s[0], s[last] = s[last], zero
	s = s[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s); child++ {
			if s[child].before(s[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return first
}
