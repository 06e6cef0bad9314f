package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	errCancelled = errors.New("the broker cancelled the consumer: the queue was deleted, or has failed over")
	errOverran   = errors.New("a handler outlasted RecycleAfter and the grace behind it")
)

// await waits for the end of the generation, and returns why it is; nil when the channel is to be
// recycled, and errClosing when the stream is closed.
func (g *generation) await() error {
	recycle := time.NewTicker(max(g.s.broker.o.RecycleAfter/20, time.Millisecond))
	defer recycle.Stop()
	var yield <-chan time.Time
	for {
		select {
		case <-g.s.ctx.Done():
			return errClosing
		case <-yield:
			return errYield
		case <-g.pumped:
			return g.cause()
		case <-g.session.gone:
			return g.cause()
		case <-g.used:
			return nil
		case _, open := <-g.asks:
			if !open {
				return errors.Join(errNoTurn, g.broken())
			}
			if yield == nil {
				yield = time.After(time.Until(g.started.Add(leastTurn)))
			}
		case <-g.pulse.over.C:
			if g.lease.Ended() { // else it was extended at the last moment
				return g.pulse.unheard()
			}
		case now := <-recycle.C:
			if g.outlived(now) {
				return nil
			}
		}
	}
}

// broken is the cause where the channel or the connection is over, else nil.
func (g *generation) broken() error {
	if g.session.over() || g.ch.IsClosed() {
		return g.cause()
	}
	return nil
}

// errYield is the end of a generation that lets go of its turn for a while.
var errYield = errors.New("somebody looks at the queue")

// errClosing is the end of a generation by Stream.Close.
var errClosing = errors.New("the stream is closed")

// cause says why nothing comes any more.
func (g *generation) cause() error {
	if g.session.over() {
		<-g.session.gone
		return fmt.Errorf("the connection is lost: %w", g.session.err)
	}
	if g.ch.IsClosed() {
		if err := discreetAMQP(<-g.closes); err != nil {
			return fmt.Errorf("the broker closed the channel: %w", err)
		}
		return errClosedConnection
	}
	return errCancelled
}

// lose ends the generation, and its lease with it. Where only the consumer is over, what is
// finished can still be acknowledged.
func (g *generation) lose(cause error) {
	if !g.ch.IsClosed() {
		g.giveUpInTime(cause)
		return
	}
	g.s.mu.Lock()
	g.end()
	g.s.mu.Unlock()
	g.lease.End(cause)
}

// end makes settlements void. The stream's lock is held.
func (g *generation) end() {
	if g.ended {
		return
	}
	g.ended = true
	g.window.End()
	close(g.over)
	if g.s.generation == g {
		g.s.generation = nil
	}
}

// giveUp ends the generation in order: what is finished is acknowledged, the lease ends with cause,
// and the channel is closed, by which the broker takes back what is left, in order. ctx bounds it.
// With a cause the lease ends first: handlers should not go on meanwhile.
func (g *generation) giveUp(ctx context.Context, cause error) error {
	g.s.mu.Lock()
	if g.ended {
		g.s.mu.Unlock()
		return nil // somebody else did it
	}
	last := g.window.Collect(true)
	g.end()
	g.s.mu.Unlock()
	if cause != nil {
		g.lease.End(cause)
	}
	err := g.s.broker.life.Tasks.Await(ctx, func() error {
		<-g.stopped
		return g.sendLast(last)
	})
	g.lease.End(cause)
	if e := g.close(ctx); err == nil {
		err = e
	}
	if last.Count == 0 && g.session.over() {
		return nil
	}
	return err
}

// giveUpInTime is giveUp within the RequestTimeout. When the broker does not answer, the end of the
// connection is sure to end the channel.
func (g *generation) giveUpInTime(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.s.broker.o.RequestTimeout)
	defer cancel()
	if g.giveUp(ctx, cause) != nil && ctx.Err() != nil {
		g.session.link.kill()
		<-g.session.gone
	}
}

// close closes the channel. When the broker answers it has read everything that was acknowledged;
// see send for what its queue has of that. When ctx ends before, the channel is left to the end of
// the connection.
func (g *generation) close(ctx context.Context) error {
	return g.s.broker.life.Tasks.Await(ctx, g.ch.Close)
}

// Handlers get a part of RecycleAfter to finish, once their channel is to be recycled. Nothing is
// delivered meanwhile.
const (
	recycleGrace = 10
	longestGrace = 30 * time.Second
)

// recycle gives up the generation before the broker's consumer_timeout does, or because somebody
// looks at the queue: handlers that run may finish in the time of grace, the rest goes back. With
// overrun the leases end of those that do not.
func (g *generation) recycle(grace time.Duration, overrun error) {
	g.s.mu.Lock()
	g.window.Stop()
	g.s.mu.Unlock()
	released := make(chan struct{})
	g.lease.Drain(sync.OnceFunc(func() { close(released) }))
	timer := time.NewTimer(grace)
	defer timer.Stop()
	var cause error
	select {
	case <-released:
	case <-timer.C:
		cause = overrun
		if cause == errOverran { //nolint:errorlint // it is what was given
			g.s.note(&g.s.overrun, errOverran)
		}
	case <-g.pumped:
		g.lose(g.cause())
		return
	case <-g.s.ctx.Done():
		return // Close does the rest
	}
	g.giveUpInTime(cause)
}
