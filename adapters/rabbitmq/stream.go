package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// Stream consumes from the queue of a group, or of a broadcast. It implements [leat.Stream] and
// [leat.HealthReporter]. Its lease is one channel.
//
// Stream.mu guards everything that is not said otherwise. It is not held while the client, a lease
// or other code from outside is called.
type Stream struct {
	broker *Broker
	sub    leat.Subscription
	caps   leat.Capabilities
	ctx    context.Context //nolint:containedctx // it ends with the stream
	cancel context.CancelFunc
	kept   chan struct{}  // closed when keep has returned
	last   *generation    // that was opened; Subscribe's and then keep's own
	outage fault.Incident // that nothing is consumed, although there is a connection
	stuck  fault.Incident // that delayed events wait here

	closing lifecycle.Closing

	mu         sync.Mutex
	closed     bool
	quiet      bool // Receive is not called any more
	prefetch   int  // of the next channel: less than fullPrefetch where messages are large
	delays     delays
	book       *book.Book[arrival]
	generation *generation   // nil while there is no channel
	lost       fault.Symptom // why there is none
	overrun    fault.Symptom // the last handler that outlasted a recycled channel
}

var (
	_ leat.Stream         = (*Stream)(nil)
	_ leat.Quiescer       = (*Stream)(nil)
	_ leat.HealthReporter = (*Stream)(nil)
)

// fullPrefetch is how many messages the broker may send before they are acknowledged.
func (s *Stream) fullPrefetch() int { return min(s.sub.MaxInFlight, mostPrefetch) }

// Capabilities implements [leat.Stream].
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// keepBook makes the stream's book. What the broker sends counts against MaxInFlight until it is
// acknowledged.
func (s *Stream) keepBook() {
	s.book = book.New[arrival](&s.mu, book.Options{
		Topic: s.sub.Topic, MaxInFlight: s.sub.MaxInFlight, MaxInFlightBytes: s.sub.MaxInFlightBytes, LongestDelay: s.caps.LongestDelay,
		Acks: book.Ranges, Timed: true,
	})
}

// Receive implements [leat.Stream].
func (s *Stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	n, err := s.book.Receive(ctx, into)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.generation; g != nil && g.overflow && g.window.Fresh() == 0 {
		lifecycle.Signal(g.used)
	}
	return n, nil
}

// Settle implements [leat.Stream].
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, tag, ok := s.book.Find(d); ok && s.generation != nil && s.generation.window == w {
		s.generation.settle(tag, how)
	}
}

// Quiesce implements [leat.Quiescer]. Nothing that is given back comes to this stream again, from
// memory or by a delay queue: it goes back when the channel closes. A channel that is lost is not
// opened again, since the broker would fill the new one for nobody.
//
// Where a group has no order, the consumer is cancelled as well, and the broker sends what comes
// from now on to other streams. Not so with a single active consumer: RabbitMQ makes the next one
// active at once, although this one still has messages of the same keys unacknowledged, and two
// handlings of a key would overlap. There the broker refills the prefetch by as many messages as
// are still acknowledged, which are those that handlers had in hand. Nor where streams take turns:
// the next one takes the messages for returned when the consumer is gone.
func (s *Stream) Quiesce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
	s.book.Quiesce()
	if g := s.generation; g != nil && !s.sub.Broadcast && !g.topology.single() && !g.topology.turns() {
		g.cancelled.Store(true)
		s.broker.life.Tasks.Go(func() { _ = g.ch.Cancel(consumerTag, true) }) // it writes to a socket, which may block
	}
}

func (s *Stream) isQuiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet
}

// note notes something that is wrong.
func (s *Stream) note(what *fault.Symptom, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what.Set(err)
}

// keep opens a channel again whenever one is over, until the stream is closed.
func (s *Stream) keep(g *generation) {
	defer close(s.kept)
	for {
		if g == nil {
			if g = s.reopen(); g == nil {
				return
			}
		}
		cause := g.await()
		switch {
		case cause == nil:
			s.broker.o.Logger.Debug("recycling a channel of RabbitMQ", "topic", s.sub.Topic, "group", s.sub.Group)
			g.recycle(min(s.broker.o.RecycleAfter/recycleGrace, longestGrace), errOverran)
		case errors.Is(cause, errYield):
			g.recycle(yieldGrace, errYield)
			lifecycle.Sleep(s.ctx, yieldPause)
		case errors.Is(cause, errClosing):
			return
		default:
			s.note(&s.lost, cause)
			if !g.session.over() { // else the log has the lost connection
				s.outage.Wrong("a stream has lost its channel", "lost", cause, s.about()...)
			}
			g.lose(cause)
			lifecycle.Sleep(s.ctx, time.Until(g.begun.Add(dialPause)))
		}
		g = nil
	}
}

// about returns what the lines of the log about the stream say.
func (s *Stream) about() []slog.Attr {
	return []slog.Attr{slog.String("topic", s.sub.Topic), slog.String("group", s.sub.Group)}
}

// reopen tries to open a channel until it can, and returns nil when the stream is closed or quiet
// before.
func (s *Stream) reopen() *generation {
	for failures := 1; s.ctx.Err() == nil && !s.isQuiet(); failures++ {
		ctx, cancel := s.broker.bounded(s.ctx)
		g, err := s.open(ctx)
		cancel()
		switch {
		case err == nil && s.install(g):
			return g
		case err == nil || s.ctx.Err() != nil: // it is closed, or quiet
			return nil
		case errors.Is(err, errTurn): // it stands by
			s.note(&s.lost, nil)
			s.outage.Well("standing by again", s.about()...)
			failures = 0
			lifecycle.Sleep(s.ctx, turnPause)
			continue
		}
		s.note(&s.lost, err)
		if s.broker.consuming.connected() { // else the log has why not
			s.outage.Wrong("cannot consume", codeOf(err).String(), err, s.about()...)
		}
		lifecycle.Sleep(s.ctx, reconnects().Delay(failures, nil))
	}
	return nil
}

// install makes g the stream's generation. It returns false, and closes it, when the stream is
// closed or quiet.
func (s *Stream) install(g *generation) bool {
	s.mu.Lock()
	over := s.closed || s.quiet
	if !over {
		s.generation, s.lost.Err = g, nil
		g.start()
	}
	s.mu.Unlock()
	if !over {
		s.outage.Well("consuming again", s.about()...)
	}
	if over {
		g.pulse.stop()
		g.lease.End(nil)
		_ = g.close(s.ctx)
	}
	return !over
}

// overrunMemory is how long a handler that outlasted its channel is shown.
const overrunMemory = 5 * time.Minute

// Health implements [leat.HealthReporter]: it returns nil, or an [*leat.Error] that says why
// nothing can be consumed, or that a handler took longer than the broker lets it.
func (s *Stream) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return s.broker.life.ErrClosed("health", s.sub.Topic)
	case s.generation == nil && s.lost.Err != nil:
		return fault.Health(s.sub.Topic, codeOf(s.lost.Err), s.lost.Since, fmt.Errorf("nothing is consumed: %w", s.lost.Err))
	case s.overrun.Within(overrunMemory):
		return fault.Health(s.sub.Topic, leat.CodeHandler, s.overrun.Since, s.overrun.Err)
	}
	return nil
}

// Close implements [leat.Stream]: it acknowledges what is finished, as long as ctx lasts, ends the
// lease, and closes the channel, by which the rest goes back to the queue.
func (s *Stream) Close(ctx context.Context) error {
	if !s.closing.Begin(ctx) {
		return nil
	}
	defer s.closing.End()
	s.mu.Lock()
	s.closed = true
	g := s.generation
	s.book.Shut(s.broker.life.ErrClosed("receive", s.sub.Topic))
	s.mu.Unlock()
	s.cancel()
	var err error
	if g != nil {
		err = g.giveUp(ctx, nil)
	}
	select {
	case <-s.kept:
	case <-ctx.Done():
	}
	s.broker.life.Remove(s)
	if err != nil {
		return fail(ctx, "close", s.sub.Topic, fmt.Errorf("what was finished last may not be acknowledged, and be handled again: %w", err))
	}
	return nil
}
