package rabbitmq

import "time"

// Held returns how many bytes a stream has that are not acknowledged, and Prefetch how many
// messages it lets the broker send.
func Held(s *Stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, bytes := s.book.Held()
	return bytes
}

// Prefetch is described at Held.
func Prefetch(s *Stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prefetch
}

// QueueDelays moves events to delay queues from this delay on.
func QueueDelays(s *Stream, least time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delays.least = least
}
