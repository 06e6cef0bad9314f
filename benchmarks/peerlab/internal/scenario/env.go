package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
	amqp "github.com/rabbitmq/amqp091-go"
)

// target returns an exchange and a queue that do not exist yet.
func (e *env) target() party.Target {
	e.names++
	topic := fmt.Sprintf("lab%d", e.names)
	return party.Target{URL: e.node.URL(), Exchange: topic, Queue: topic + ".queue"}
}

// open connects the party, and declares what it publishes to.
func (e *env) open(ctx context.Context, t party.Target) (party.Peer, error) {
	p, err := e.party.Open(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := p.Declare(ctx); err != nil {
		return nil, fmt.Errorf("declare: %w", err)
	}
	return p, nil
}

// publish publishes, and gives up on a library that does not return within the timeout and the
// grace: hung says so, and the call stays behind.
func publish(ctx context.Context, p party.Peer, timeout, grace time.Duration, ids ...string) (errs []error, hung bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	answer := make(chan []error, 1)
	go func() {
		defer cancel()
		answer <- p.Publish(ctx, ids...)
	}()
	t := time.NewTimer(timeout + grace)
	defer t.Stop()
	select {
	case errs = <-answer:
		return errs, false
	case <-t.C:
		return nil, true
	}
}

// tell publishes one message and returns nil when the library says that it is published.
func tell(ctx context.Context, p party.Peer, timeout time.Duration, id string) error {
	errs, hung := publish(ctx, p, timeout, 250*time.Millisecond, id)
	if hung {
		return errors.New("the call did not return by its deadline")
	}
	return errs[0]
}

// stored takes all messages out of a queue and returns how often each body was there.
func stored(ctx context.Context, url, queue string) (map[string]int, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // it is done with
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(1000, 0, false); err != nil {
		return nil, err
	}
	found := make(map[string]int, q.Messages)
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	for n := 1; n <= q.Messages; n++ {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil, fmt.Errorf("the channel was lost after %d of %d messages", n, q.Messages)
			}
			found[string(d.Body)]++
			if n%500 == 0 || n == q.Messages {
				if err := ch.Ack(d.DeliveryTag, true); err != nil {
					return nil, err
				}
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return found, nil
}

// ledger remembers what happened to ids.
type ledger struct {
	mu    sync.Mutex
	count map[string]int
}

func newLedger() *ledger { return &ledger{count: map[string]int{}} }

func (l *ledger) add(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[id]++
	return l.count[id]
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.count)
}

func (l *ledger) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[id] > 0
}

// missing returns how many of l's ids none of the others has.
func (l *ledger) missing(others ...map[string]int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id := range l.count {
		found := false
		for _, o := range others {
			found = found || o[id] > 0
		}
		if !found {
			n++
		}
	}
	return n
}

// snapshot returns the counts.
func (l *ledger) snapshot() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.count)
}

// until calls check every 20 ms until it is true; false means that the time was over before.
func until(ctx context.Context, most time.Duration, check func() bool) bool {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return check()
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
