package kafka

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests by which a member takes part in its group.
const (
	coordinatorKey    = int16(kmsg.FindCoordinator)
	joinKey           = int16(kmsg.JoinGroup)
	heartbeatKey      = int16(kmsg.Heartbeat)
	syncKey           = int16(kmsg.SyncGroup)
	groupHeartbeatKey = int16(kmsg.ConsumerGroupHeartbeat)
)

// serverSession is the session timeout that brokers have by default with [ProtocolConsumer], where they decide it.
const serverSession = 45 * time.Second

// presence is what a member of a group knows by its own clock: when the group has heard of it last. The client itself goes on trying to
// reach the group, however long that takes, and says that partitions are lost only when the group has said so.
type presence struct {
	timeout time.Duration
	heard   chan struct{} // holds a token when a heartbeat was answered after the session had ended

	mu      sync.Mutex
	last    time.Time // when the group answered last; zero before it has
	before  time.Time // the same for the answer before that
	joining bool      // the group keeps the member waiting, and counts it as present
	ended   bool      // the timeout has passed since the last answer
	waits   time.Time // since when the group has not said which partitions the member gets; zero when it has
}

var (
	_ kgo.HookBrokerWrite = (*presence)(nil)
	_ kgo.HookBrokerE2E   = (*presence)(nil)
)

func newPresence(o *Options) *presence {
	s := &presence{timeout: o.SessionTimeout, heard: make(chan struct{}, 1)}
	if o.Protocol == ProtocolConsumer {
		s.timeout = max(s.timeout, serverSession)
	}
	return s
}

// OnBrokerWrite is called by the client when it has sent a request.
func (s *presence) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && (key == joinKey || key == syncKey) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.joining = true
		if s.waits.IsZero() {
			s.waits = time.Now()
		}
	}
}

// OnBrokerE2E is called by the client after each request. It does not say what the answer was: that the group's session is over, which the
// client tells the stream before it sends anything else; or that the broker is not the group's any more, after which the client asks
// which one is.
func (s *presence) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch key {
	case joinKey, syncKey:
		if s.joining {
			s.answered(time.Now()) // the group counts a member as present as long as it waits, also where the connection breaks then
		}
		s.joining = false
		if key == syncKey && e2e.Err() == nil {
			s.waits = time.Time{}
		}
	case heartbeatKey, groupHeartbeatKey:
		if e2e.Err() != nil {
			return
		}
		if s.ended && s.last.After(s.before) { // the second in a row
			select {
			case s.heard <- struct{}{}:
			default:
			}
		}
		s.answered(time.Now().Add(-e2e.DurationE2E())) // the session counts from when the group got it
	case coordinatorKey:
		s.last = s.before
	}
}

func (s *presence) answered(at time.Time) { s.before, s.last = s.last, at }

// begin notes that the group has given the member partitions.
func (s *presence) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.before, s.last, s.ended = now, now, false
}

// lasts is how long leases last after a heartbeat that was answered began: they end before the group's own timeout does.
func (s *presence) lasts() time.Duration { return s.timeout - s.timeout/10 }

// left returns how long the session lasts without another answer; 0 or less when it is over.
func (s *presence) left() (left, silence time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	silence, lasts := time.Since(s.last), s.lasts()
	if s.joining || s.last.IsZero() || s.ended {
		return lasts, silence
	}
	return lasts - silence, silence
}

// end notes that the session is over, until the group answers twice.
func (s *presence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.before, s.last = true, time.Now(), time.Time{}
}

// promised notes that the group means to give the member partitions that it does not have yet, or with false that it does not.
func (s *presence) promised(some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !some:
		s.waits = time.Time{}
	case s.waits.IsZero():
		s.waits = time.Now()
	}
}

// waiting returns what the member waits for and since when, nil where it does not, or not for longer than the other members take to hear
// of a rebalance. A member that has joined and has got nothing is a standby, and does not wait.
func (s *presence) waiting(grace time.Duration) (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits.IsZero() || time.Since(s.waits) < grace {
		return time.Time{}, nil
	}
	if until := s.waits.Add(s.timeout); time.Now().Before(until) {
		return s.waits, fmt.Errorf("waiting for the group to assign partitions: a member that ended without leaving keeps its partitions until"+
			" its session is over, at most until %s; with an InstanceID, a restart does not wait", until.UTC().Format(time.RFC3339))
	}
	return s.waits, errors.New("waiting for the group to assign partitions: another member has not given them up yet, for which it has its" +
		" RebalanceTimeout")
}

// resume notes that the session goes on.
func (s *presence) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = false
}

// watchPresence ends the leases before the group can give the partitions to others, which it does when it has not heard of this member for
// the session timeout; and goes on where it was when the group turns out not to have done so.
func (s *Stream) watchPresence() {
	timer := time.NewTimer(s.presence.lasts())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			left, silence := s.presence.left()
			if left <= 0 {
				s.presence.end()
				s.suspend(silence)
				left = s.presence.lasts()
			}
			timer.Reset(max(left, time.Millisecond))
		case <-s.presence.heard:
			s.presence.resume()
			s.mu.Lock()
			s.resuming = true
			s.wake()
			s.mu.Unlock()
		case <-s.quit:
			return
		}
	}
}

// suspend ends the leases and keeps the partitions: nothing of them is delivered until the group has answered. What was delivered is
// delivered again then, from the watermark on, with a new lease.
func (s *Stream) suspend(silence time.Duration) {
	cause := fmt.Errorf("the group has not answered a heartbeat for %v, and may have given the partition to another member after the session"+
		" timeout of %v", silence.Round(time.Millisecond), s.presence.timeout)
	if last := s.conns.last(); last != nil {
		cause = fmt.Errorf("%w; the last connection: %w", cause, last)
	}
	s.mu.Lock()
	over := s.renew()
	s.ill.silent(cause)
	s.mu.Unlock()
	for _, t := range over {
		s.broker.o.Logger.Warn("lease ended; its unfinished events are handled again", "topic", s.sub.Topic, "group", s.sub.Group,
			"partition", t.partition, "error", cause)
		t.lease.End(cause)
	}
}

// renew puts suspended tenures in the place of those of which something was delivered, and returns these. The lock is held.
func (s *Stream) renew() (over []*tenure) {
	for _, t := range s.all() {
		switch {
		case t.draining:
		case t.window.position() < 0: // nothing was delivered: what was polled can stay
			t.suspended = true
			s.setAside(t)
		default:
			above, epoch := t.finished()
			from := kgo.EpochOffset{Epoch: t.window.epoch, Offset: t.window.position()}
			watermark := t.window.watermark
			s.end([]*tenure{t})
			s.begin(t.partition)
			n := s.tenures[t.partition]
			n.topic, n.committed, n.tried, n.above, n.aboveEpoch = t.topic, t.committed, t.tried, above, epoch
			n.window.watermark, n.window.epoch, n.begin = watermark, from.Epoch, from.Offset
			if len(above) > 0 {
				n.owe(from.Offset, from.Epoch)
				s.commit.soon()
			}
			n.suspended, n.rewind, n.from = true, true, from
			n.asked, n.placed, n.next = t.asked, t.placed, from.Offset
			over = append(over, t)
		}
	}
	return over
}

// resumeSuspended lets the suspended partitions go on. Receive calls it, so that no poll is under way; no new tenure begins meanwhile,
// which an offset would hit: assigned waits for that.
func (s *Stream) resumeSuspended() {
	s.mu.Lock()
	if !s.resuming || s.idle != nil {
		s.mu.Unlock()
		return
	}
	s.resuming = false
	s.ill.silent(nil)
	idle := make(chan struct{})
	s.idle = idle
	from := map[int32]kgo.EpochOffset{}
	for p, t := range s.tenures {
		if t.suspended && t.rewind {
			from[p] = t.from
		}
	}
	s.mu.Unlock()
	s.goOn(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenures {
		if !t.suspended {
			continue
		}
		if t.rewind {
			t.aside = nil
		}
		t.suspended, t.rewind = false, false
		s.bringBack(t)
	}
	s.idle = nil
	close(idle)
}

// patient makes failures to connect pass for timeouts, after which the client tries again. It takes others for final, and ends the
// group's session with them, however short they are. The address was good when the stream was opened.
func patient(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "dial" || op.Timeout() {
		return err
	}
	return &net.OpError{Op: op.Op, Net: op.Net, Source: op.Source, Addr: op.Addr, Err: passing{op.Err}}
}

// passing is an error that says that it is a timeout. It does not unwrap, since the client looks for what it takes for final.
type passing struct{ error }

func (passing) Timeout() bool   { return true }
func (passing) Temporary() bool { return true }

// lostCause is why the group has taken the partitions away.
func (s *presence) lostCause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if silence := time.Since(s.before); s.ended || silence >= s.timeout {
		return fmt.Errorf("the group took the partition away, because it had not heard of this member for the session timeout of %v", s.timeout)
	}
	return errLost
}

var errLost = errors.New("the group does not count this member among its own any more, and gives its partitions to others")
