package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// peer is an address. One attempt at a time is made to it, so that all of the client's connections learn from one failure.
type peer struct {
	turn chan struct{} // holds a token while an attempt is under way, which decides about those that wait

	mu     sync.Mutex
	err    error     // what was wrong with the last attempt; nil while all is well
	last   time.Time // when it failed or, for a connection that has not shown to work, was made
	resets int       // how many connections in a row ended before they worked
	gentle bool      // the next attempt waits for the end of the pause instead of failing
}

// mayDial returns nil when the peer may be dialed now, else the error of the last attempt.
func (p *peer) mayDial(ctx context.Context) error {
	p.mu.Lock()
	err, gentle, rest := p.err, p.gentle, time.Until(p.last.Add(dialPause))
	p.mu.Unlock()
	switch {
	case err == nil || rest <= 0:
		return nil
	case !gentle:
		return fmt.Errorf("%w (not dialed again yet)", err)
	}
	pause := time.NewTimer(rest)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
}

// dialed notes that there is a connection. After a failure others are made only when this one works, or after the pause.
func (p *peer) dialed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// failedToDial notes a failure. One whose caller gave up says nothing about the peer, so that the next caller waits and tries.
func (p *peer) failedToDial(ctx context.Context, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.err, p.gentle = time.Now(), err, ctx.Err() != nil
}

// mostResets is how many connections in a row may end before they work without the next attempt failing at once: some brokers end
// those whose first request is newer than they are, and the client finds out by trying three times.
const mostResets = 2

// worked notes what became of a connection: nil when it can be used.
func (p *peer) worked(err error) {
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.gentle = err, false
	if err == nil {
		p.resets = 0
		return
	}
	p.last = time.Now()
}

// reset notes that a connection ended before anything came from it.
func (p *peer) reset(addr net.Addr, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets++
	p.last, p.gentle = time.Now(), p.resets <= mostResets
	// The end of a connection is final for the client in other places; a failure to connect is not.
	p.err = &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: errors.New("the connection ended at once: " + err.Error())}
}

// link is a connection to a peer.
type link struct {
	net.Conn

	peer  *peer
	heard bool // something came; Read's own
}

// Read notes a connection that ends before anything came.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if !l.heard {
		l.heard = n > 0
		if !l.heard && isReset(err) {
			l.peer.reset(l.RemoteAddr(), err)
		}
	}
	return n, err
}

// isReset reports whether the other side has ended a connection.
func isReset(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// ready is told once, when the client has prepared the connection for requests or failed to.
func (l *link) ready(err error) {
	if err == nil || l.heard { // the others were told of as resets
		l.peer.worked(err)
	}
}
