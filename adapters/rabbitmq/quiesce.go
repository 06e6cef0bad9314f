package rabbitmq

// Quiesce implements [leat.Quiescer]. Nothing that is given back comes to this stream again, from
// memory or by a delay queue: it goes back when the channel closes. A channel that is lost is not
// opened again, since the broker would fill the new one for nobody.
//
// Where a group has no order, the consumer is cancelled as well, and the broker sends what comes
// from now on to other streams. Not so with a single active consumer: RabbitMQ makes the next one
// active at once, although this one still has messages of the same keys unacknowledged, and two
// handlings of a key would overlap. There the broker refills the prefetch by as many messages as
// are still acknowledged, which are those that handlers had in hand.
func (s *Stream) Quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
	s.book.Quiesce()
	if g := s.generation; g != nil && !s.sub.Broadcast && !g.topology.single() {
		g.cancelled.Store(true)
		s.broker.life.Tasks.Go(func() { _ = g.ch.Cancel(consumerTag, true) }) // it writes to a socket, which may block
	}
}

func (s *Stream) isQuiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet
}
