package kafka

import (
	"context"
	"fmt"
	"time"
)

// Close implements [leat.Stream]. It commits what is finished, ends the leases, and leaves the
// group, unless the member is static. It returns when ctx ends: the Broker leaves the group in the
// background then, and its own Close waits for that.
func (s *Stream) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.awaitGone(ctx) // somebody else closes it already
		return nil
	}
	s.closed = true
	over := s.fatal != nil
	s.wake()
	s.mu.Unlock()
	close(s.quit)
	err := s.commitNow(ctx)
	var cause error
	if isLost(err) || over { // what the group took away before was not the stream's to commit
		err, cause = nil, errLost
	}
	s.mu.Lock()
	tenures := s.all()
	s.end(tenures)
	s.mu.Unlock()
	for _, t := range tenures {
		t.lease.End(cause)
	}
	s.broker.life.Tasks.Go(s.leave)
	s.awaitGone(ctx)
	if err != nil {
		return fail(ctx, "close", s.sub.Topic, fmt.Errorf("what was finished last is not committed, and will be handled again: %w", err))
	}
	return nil
}

// leave leaves the group and ends the client. The client's Close waits for the callbacks of its
// group management, which may wait for an answer of the broker, so this may take as long as that.
func (s *Stream) leave() {
	defer close(s.gone)
	if s.sub.Group != "" {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		_ = s.client.LeaveGroupContext(ctx) // the group notices by itself, later
		cancel()
	}
	s.cancel()
	s.client.Close()
	s.wg.Wait()
	s.broker.forget(s)
}

// leaveTimeout is how long to wait for the broker's word that the member has left.
const leaveTimeout = 2 * time.Second

// awaitGone waits until the stream has left its group and closed its client, at most until ctx
// ends.
func (s *Stream) awaitGone(ctx context.Context) {
	select {
	case <-s.gone:
	case <-ctx.Done():
	}
}
