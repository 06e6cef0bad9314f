package memory

// ring is a first-in-first-out queue in a circular buffer whose length is a power of two.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

const (
	ringStart = 8
	// ringKeep is the buffer that an empty ring keeps; a larger one was grown for a burst and goes.
	ringKeep = 4096
)

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		r.resize(max(ringStart, 2*len(r.buf)))
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = v
	r.n++
}

// pop removes the oldest element. The ring must not be empty.
func (r *ring[T]) pop() T {
	var zero T
	v := r.buf[r.head]
	r.buf[r.head] = zero
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	if r.n == 0 && len(r.buf) > ringKeep {
		r.buf, r.head = nil, 0
	}
	return v
}

// at returns a pointer to the i-th oldest element.
func (r *ring[T]) at(i int) *T { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *ring[T]) resize(size int) {
	buf := make([]T, size)
	for i := range r.n {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}
