package rabbitmq

import (
	"time"

	"github.com/leatgo/leat/adapterkit/book"
)

// quarter is how many finished messages do not wait to be acknowledged.
func (g *generation) quarter() int { return max(1, g.prefetch/4) }

const (
	// ackDelay is how long finished messages wait for others, to be acknowledged together.
	ackDelay = 5 * time.Millisecond
	// oneDelay is how long they wait for an unfinished one before them, to be acknowledged one by
	// one then.
	oneDelay = 100 * time.Millisecond
)

// ackLoop acknowledges what is finished, and keeps the lease. All requests of the channel are its
// own until it has ended.
func (g *generation) ackLoop() {
	defer close(g.stopped)
	defer g.pulse.stop()
	timer, armed := time.NewTimer(ackDelay), true
	defer timer.Stop()
	for {
		select {
		case <-g.due:
			if !armed {
				timer.Reset(ackDelay)
				armed = true
			}
			continue
		case <-g.pulse.beat.C:
			g.ask()
			continue
		case <-timer.C:
		case <-g.urgent:
		case <-g.over:
			return
		}
		if armed = g.ackSome(); armed {
			timer.Reset(oneDelay / 4)
		}
	}
}

// ackSome acknowledges what may be by now, and reports whether something is left to be
// acknowledged.
func (g *generation) ackSome() bool {
	now := time.Now()
	g.s.mu.Lock()
	a := g.window.Collect(false)
	left, since := g.window.Uncollected()
	if left > 0 && (left >= g.quarter() || now.Sub(since) >= oneDelay) {
		more := g.window.Collect(true)
		a.Ones, a.Count, left = more.Ones, a.Count+more.Count, 0
	}
	g.s.mu.Unlock()
	if err := g.send(a); err != nil {
		return false // the channel is over
	}
	return left > 0
}

// send writes acknowledgements. A quorum queue takes 32 of them at a time; the others wait in the
// channel, and are dropped when that closes, so that what they are for would be delivered again.
// RabbitMQ does not say when it has taken them. But what is acknowledged in one transaction is one
// for the queue: so from where there is more than one, all that the channel acknowledges goes by
// transactions. Classic queues have less to do, too.
func (g *generation) send(a book.Collected) error {
	if a.Count == 0 {
		return nil
	}
	if len(a.Rejects)+len(a.Ones) > 1 && !g.transactions {
		if err := g.ch.Tx(); err != nil {
			return err
		}
		g.transactions = true
	}
	if err := g.write(a); err != nil || !g.transactions {
		return err
	}
	return g.ch.TxCommit()
}

// write writes them, together. Nothing is waited for meanwhile, since it would be in the link.
func (g *generation) write(a book.Collected) error {
	g.session.link.cork()
	defer g.session.link.uncork()
	for _, tag := range a.Rejects {
		if err := g.ch.Reject(tag, false); err != nil {
			return err
		}
	}
	if a.UpTo > 0 {
		if err := g.ch.Ack(a.UpTo, true); err != nil {
			return err
		}
	}
	for _, tag := range a.Ones {
		if err := g.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

// sendLast is send before the channel is closed. It returns when the broker has read what was ever
// acknowledged on the channel, so that the lease may end (L7). The answer to the channel's close
// says the same and comes too late: by then others have what is left (L3). A commit says it;
// tx.select does too, for acknowledgements that need no transaction, and is the last that the
// channel is used for.
func (g *generation) sendLast(a book.Collected) error {
	if err := g.send(a); err != nil || g.transactions || g.ch.IsClosed() {
		return err
	}
	return g.ch.Tx()
}
