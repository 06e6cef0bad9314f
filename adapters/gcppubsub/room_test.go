package gcppubsub_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// counting is a Pub/Sub that never runs out of messages, and has no more of a pull out than the
// pull asked for.
type counting struct {
	mu      sync.Mutex
	sent    int
	out     map[string]int // by the number of the pull; what is settled of another pull is not of this
	pulls   int
	settled chan struct{}
	opened  chan int // what each pull asked for
}

func (c *counting) pull(s *pulling, first *pb.StreamingPullRequest) error {
	c.mu.Lock()
	c.pulls++
	own := fmt.Sprint(c.pulls, "-")
	c.mu.Unlock()
	most := int(first.GetMaxOutstandingMessages())
	c.opened <- most
	for {
		c.mu.Lock()
		room := most - c.out[own]
		var more []*pb.ReceivedMessage
		for range room {
			c.sent++
			c.out[own]++
			more = append(more, message(own+fmt.Sprint(c.sent), fmt.Sprint(c.sent), ""))
		}
		c.mu.Unlock()
		if err := s.deliver(more...); err != nil && len(more) > 0 {
			return err
		}
		select {
		case <-c.settled:
		case <-s.pings:
			if err := s.pong(); err != nil {
				return err
			}
		case <-s.closed:
			return nil
		}
	}
}

func (c *counting) settle(ids []string, deadline int32) error {
	if deadline > 0 {
		return nil
	}
	c.mu.Lock()
	for _, id := range ids {
		var pull, n int
		_, _ = fmt.Sscanf(id, "%d-%d", &pull, &n)
		c.out[fmt.Sprint(pull, "-")]--
	}
	c.mu.Unlock()
	select {
	case c.settled <- struct{}{}:
	default:
	}
	return nil
}

// TestASaturatedPullGetsItsShare: a pull that was opened while much was held, and that has had all
// that it asked for out since then, is opened for more.
func TestASaturatedPullGetsItsShare(t *testing.T) {
	t.Parallel()
	const most = 100
	c := &counting{out: map[string]int{}, settled: make(chan struct{}, 1), opened: make(chan int, 100)}
	var ended atomic.Bool
	f := &stub{settle: c.settle, pull: func(s *pulling, first *pb.StreamingPullRequest) error {
		if !ended.Swap(true) { // the first pull brings half, and ends
			first.MaxOutstandingMessages = most / 2
			c.opened <- most
			for i := range most / 2 {
				if err := s.deliver(message(fmt.Sprint("0-", i), fmt.Sprint("first-", i), "")); err != nil {
					return err
				}
			}
			return nil
		}
		return c.pull(s, first)
	}}
	sub := billing()
	sub.MaxInFlight = most
	s := startStub(t, f, sub, gcppubsub.Options{})
	require.Equal(t, most, <-c.opened)
	held := take(t, s, most/2)
	require.Equal(t, most/2, <-c.opened, "the rest is held")
	held = append(held, take(t, s, most/2)...)
	timeout := time.After(brokertest.Patience)
	for asked := 0; 3*asked < 2*most; {
		select {
		case asked = <-c.opened:
		case <-timeout:
			require.Fail(t, "the pull is not opened for more")
		case <-time.After(10 * time.Millisecond): // the handler is slow, so that all stays out
			s.Settle(&held[0], leat.Settlement{Action: leat.Ack})
			held = held[1:]
			if len(held) < most/4 {
				held = append(held, take(t, s, 1)...)
			}
		}
	}
	ack(s, held)
}
