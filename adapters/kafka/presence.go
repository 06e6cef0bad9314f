package kafka

import (
	"context"
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

// serverSession is the session timeout that brokers have by default with [ProtocolConsumer], where
// they decide it.
const serverSession = 45 * time.Second

// presence is what a member of a group knows by its own clock: when the group has heard of it last.
// The client itself goes on trying to reach the group, however long that takes, and says that
// partitions are lost only when the group has said so.
type presence struct {
	timeout time.Duration
	news    chan struct{} // holds a token when watchPresence should look

	mu      sync.Mutex
	last    time.Time // when the group heard last of the member, for all it knows; zero before it has
	before  time.Time // the same for the answer before that
	joining bool      // the group keeps the member waiting, and counts it as present
	asked   time.Time // when the request began that the group keeps waiting
	looked  time.Time // when watchPresence looked while it waited; at first the same as asked
	ended   bool      // the timeout has passed since the last answer
	back    bool      // the group has answered twice since
	waits   time.Time // since when the group has not said which partitions the member gets; zero when it has
}

var (
	_ kgo.HookBrokerWrite = (*presence)(nil)
	_ kgo.HookBrokerE2E   = (*presence)(nil)
)

func newPresence(o *Options) *presence {
	s := &presence{timeout: o.SessionTimeout, news: make(chan struct{}, 1)}
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
		now := time.Now()
		s.joining, s.asked, s.looked = true, now, now
		s.tell()
		if s.waits.IsZero() {
			s.waits = now
		}
	}
}

// OnBrokerE2E is called by the client after each request. It does not say what the answer was: that
// the group's session is over, which the client tells the stream before it sends anything else; or
// that the broker is not the group's any more, after which the client asks which one is.
func (s *presence) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch key {
	case joinKey, syncKey:
		if s.joining {
			s.answered(s.asked) // the group counts a member as present as long as it waits, also where the connection breaks then
		}
		s.joining = false
		if key == syncKey && e2e.Err() == nil {
			s.waits = time.Time{}
		}
	case heartbeatKey, groupHeartbeatKey:
		if e2e.Err() != nil {
			return
		}
		s.back = s.back || s.ended && s.last.After(s.before) // the second in a row
		s.answered(time.Now().Add(-e2e.DurationE2E()))       // the session counts from when the group got it
	case coordinatorKey:
		s.last = s.before
	}
}

// answered notes that the group has heard of the member after a time. The lock is held.
func (s *presence) answered(after time.Time) {
	s.before, s.last = s.last, latest(s.last, after)
	s.tell()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tell makes watchPresence look. It does not block.
func (s *presence) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// begin notes that the group has given the member partitions.
func (s *presence) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() {
		s.last = time.Now()
	}
	s.before, s.ended, s.back = s.last, false, false
	s.tell()
}

// lasts is how long a session lasts here after a heartbeat that was answered began. It is a moment
// less than the nine tenths of a [leat.TimedLease], so that leases end for the reason that
// watchPresence gives.
func (s *presence) lasts() time.Duration {
	return s.timeout - s.timeout/10 - s.timeout/momentsOfSession
}

// momentsOfSession is how many parts of a session are a moment: the time between two looks at a
// member that the group keeps waiting.
const momentsOfSession = 50

// standing is what [presence.look] finds.
type standing struct {
	last time.Time     // when the group heard of the member last; zero where it has not yet, and when the session is over
	next time.Duration // when to look again; 0 or less when the session is over by now
	back bool          // the session is not over any more
}

// look returns how the member stands with its group. Where the group keeps it waiting, it has heard
// of the member when watchPresence looked before, and not now: where the process stood still in
// between, the answer may have come long ago.
func (s *presence) look() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := standing{next: s.lasts(), back: s.back}
	if s.back {
		s.ended, s.back = false, false
	}
	if s.ended {
		return found
	}
	now := time.Now()
	if s.joining {
		s.last, s.looked = latest(s.last, s.looked), now
	}
	if s.last.IsZero() {
		return found
	}
	found.last, found.next = s.last, s.lasts()-now.Sub(s.last)
	if s.joining {
		found.next = min(found.next, s.timeout/momentsOfSession)
	}
	return found
}

// heard returns when the group heard of the member last; zero when its session is over.
func (s *presence) heard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// end notes that the session is over, until the group answers twice.
func (s *presence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.back, s.before, s.last = true, false, time.Now(), time.Time{}
}

// promised notes that the group means to give the member partitions that it does not have yet, or
// with false that it does not.
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

// waiting returns what the member waits for and since when, nil where it does not, or not for
// longer than the other members take to hear of a rebalance. A member that has joined and has got
// nothing is a standby, and does not wait.
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

// patient makes failures to connect pass for timeouts, after which the client tries again.
// franz-go (1.22.2 too) takes others for final where the broker of the group is down: it ends the
// session, and every lease was lost 0.3 s after the only node had been killed, though the group
// kept the member (TestHandlerOutlivesAnOutage). The address was good when the stream was opened. A
// dial that the client itself has canceled stays what it is, and says nothing about the broker.
func patient(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "dial" || op.Timeout() || errors.Is(err, context.Canceled) {
		return err
	}
	return &net.OpError{Op: op.Op, Net: op.Net, Source: op.Source, Addr: op.Addr, Err: passing{op.Err}}
}

// passing is an error that says that it is a timeout. It does not unwrap, since the client looks
// for what it takes for final.
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
