package lease

// Numbers returns how many messages the stream has in its book.
func (s *Stream[K, T]) Numbers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.numbers)
}
