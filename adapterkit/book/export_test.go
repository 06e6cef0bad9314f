package book

// Ring returns how long a window's ring is, and how many records are kept beside it.
func (w *Window[T]) Ring() (length, beside int) { return len(w.ring), len(w.stragglers) }

// Waits returns how many places a book has in its lists of what was given back.
func (b *Book[T]) Waits() int {
	return len(b.returns) + len(b.naps) + b.again.len() + len(b.blocked)
}
