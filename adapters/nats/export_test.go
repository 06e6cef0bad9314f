package nats

import "github.com/leatgo/leat"

// HeldBytes returns what a stream of this adapter holds.
func HeldBytes(of leat.Stream) (bytes int) {
	s := of.(*Stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, bytes = s.held()
	return bytes
}
