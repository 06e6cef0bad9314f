package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
)

// consumer is a library that consumes.
type consumer struct {
	stop context.CancelFunc
	over chan error // its end
}

func consume(ctx context.Context, p party.Peer, workers int, handle party.Handle) *consumer {
	c := &consumer{over: make(chan error, 1)}
	ctx, c.stop = context.WithCancel(ctx)
	go func() { c.over <- p.Consume(ctx, workers, handle) }()
	return c
}

// ended says whether the library has stopped consuming by itself, and why.
func (c *consumer) ended() (over bool, why error) {
	select {
	case err := <-c.over:
		c.over <- err
		return true, err
	default:
		return false, nil
	}
}

var errUnfinished = errors.New("not handled")

func lateAck() Scenario {
	return Scenario{
		Name: "late-ack", Title: "Late ack after a reconnect acks another message",
		What: "The broker closes the channel because a message is handled for longer than its `consumer_timeout` (3 s here; 30 min by " +
			"default). The library opens another one, and the handler finishes. Another message, which is still being handled when the process " +
			"ends, must not be gone.",
		Config: map[string]string{"consumer_timeout": "3000"},
		run: func(ctx context.Context, e *env) (Result, error) {
			t := e.target()
			p, err := e.open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			// The first one moves the delivery tags on: on the next channel, another message has
			// the tag of the slow one.
			for _, id := range []string{"quick", "slow", "next"} {
				if err := tell(ctx, p, 5*time.Second, id); err != nil {
					return Result{}, err
				}
			}
			var slow atomic.Int64
			finished := make(chan struct{})
			c := consume(ctx, p, 6, func(ctx context.Context, id string) error {
				if id == "quick" {
					return nil
				}
				if id == "slow" && slow.Add(1) == 1 {
					// It outlasts the channel, and takes a little longer when it is delivered
					// again.
					until(context.WithoutCancel(ctx), 8*time.Second, func() bool { return slow.Load() > 1 })
					pause(context.WithoutCancel(ctx), 300*time.Millisecond)
					close(finished)
					return nil
				}
				<-ctx.Done() // until the process ends
				return errUnfinished
			})
			defer c.stop()
			select {
			case <-finished:
			case <-ctx.Done():
				return Result{}, errors.New("the slow message was not delivered")
			}
			pause(ctx, 2*time.Second) // for an ack in the background
			if _, err := e.node.CloseConnections(ctx, nil); err != nil {
				return Result{}, err
			}
			e.node.Kill() // the process ends: no library can settle anything more
			c.stop()
			if err := e.node.Start(ctx); err != nil {
				return Result{}, err
			}
			found, err := storedAfter(ctx, t, p)
			if err != nil {
				return Result{}, err
			}
			if found["next"] == 0 {
				return Result{Seen: "the message that was not handled yet was acked, and is lost"}, nil
			}
			return Result{Held: true, Seen: "no other message was touched"}, nil
		},
	}
}

// storedAfter reads the queue of a peer that may consume from it again when the broker is back.
func storedAfter(ctx context.Context, t party.Target, p party.Peer) (map[string]int, error) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	}()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
	}
	return stored(ctx, t.URL, t.Queue)
}

func queueDeleted() Scenario {
	return Scenario{
		Name: "deleted", Title: "Queue deleted while consuming",
		What: "An operator deletes the queue while messages from it are waited for, and makes it again a second later. Messages that are " +
			"published then have to be handled within 15 s, and the handler must get nothing that nobody published.",
		run: func(ctx context.Context, e *env) (Result, error) {
			t := e.target()
			p, err := e.open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			operator, err := e.party.Open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			if err := tell(ctx, p, 5*time.Second, "before"); err != nil {
				return Result{}, err
			}
			handled, ghosts := newLedger(), atomic.Int64{}
			c := consume(ctx, p, 2, func(_ context.Context, id string) error {
				if id == "" {
					ghosts.Add(1)
				}
				handled.add(id)
				return nil
			})
			defer c.stop()
			if !until(ctx, 10*time.Second, func() bool { return handled.has("before") }) {
				return Result{}, errors.New("the first message was not handled")
			}
			pause(ctx, 500*time.Millisecond) // its ack
			if err := e.node.DeleteQueue(ctx, "/", t.Queue); err != nil {
				return Result{}, err
			}
			pause(ctx, time.Second)
			if err := operator.Declare(ctx); err != nil {
				return Result{}, err
			}
			begun := time.Now()
			n := 0
			ok := until(ctx, e.back(), func() bool {
				n++
				id := fmt.Sprintf("after-%d", n)
				if tell(ctx, p, time.Second, id) != nil {
					return false
				}
				return until(ctx, 300*time.Millisecond, func() bool { return handled.has(id) })
			})
			seen := fmt.Sprintf("consumes again after %.1f s", time.Since(begun).Seconds())
			if !ok {
				seen = "consumes nothing more"
				if over, why := c.ended(); over {
					seen += ": " + brief(why)
				}
			}
			if ghosts.Load() > 0 {
				seen += fmt.Sprintf("; empty messages that nobody published: %d", ghosts.Load())
			}
			return Result{Held: ok && ghosts.Load() == 0, Seen: seen}, nil
		},
	}
}
