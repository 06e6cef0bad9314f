package eventtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// link is one connection through a [Proxy]: that of the client, and the one to the broker that
// belongs to it.
type link struct {
	proxy  *Proxy
	target string
	done   chan struct{} // closed when the link has ended
	turns  [2]sync.Mutex // by direction: who writes a piece

	// The lock of the proxy guards what follows.
	ends    [2]*net.TCPConn // by the direction that leads there
	cut     [2]bool         // the end is closed, and the other one does not learn of it
	over    [2]bool         // nothing more comes in this direction
	writing [2]bool
	ended   bool
}

// piece is what was read at a time, or why nothing more comes.
type piece struct {
	due   time.Time
	bytes []byte
	err   error
}

const (
	pieceBytes = 32 << 10
	mostPieces = 2 << 20 / pieceBytes // of a direction that wait in the proxy
)

// serve connects to the broker and passes bytes in both directions until the link has ended.
func (l *link) serve() {
	defer l.finish()
	if !l.connect() {
		return
	}
	var work sync.WaitGroup
	for _, d := range both {
		pieces := make(chan piece, mostPieces)
		work.Go(func() { l.read(d, pieces) })
		work.Go(func() { l.write(d, pieces) })
	}
	work.Wait()
}

// finish ends the link and forgets it.
func (l *link) finish() {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	l.end(false)
	delete(p.links, l)
}

// connect connects to the broker, once packets reach it.
func (l *link) connect() bool {
	p := l.proxy
	if !l.open(ToBroker) {
		return false
	}
	c, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", l.target)
	if err != nil {
		return false
	}
	server, ok := c.(*net.TCPConn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok || l.ended {
		_ = c.Close()
		return false
	}
	l.ends[ToBroker] = server
	return true
}

// open waits until a direction is not frozen, and reports whether the link still is there.
func (l *link) open(d Direction) bool {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ways[d].frozen && !l.ended {
		p.changed.Wait()
	}
	return !l.ended
}

// read reads what goes in a direction until nothing more comes.
func (l *link) read(d Direction, pieces chan<- piece) {
	buf := make([]byte, pieceBytes)
	for l.open(d) {
		n, err := l.ends[d.back()].Read(buf)
		if n > 0 && !l.queue(d, pieces, piece{bytes: bytes.Clone(buf[:n])}) {
			return
		}
		if err != nil {
			l.queue(d, pieces, piece{err: err})
			return
		}
	}
}

// queue hands a piece over to the writer, and reports whether it could.
func (l *link) queue(d Direction, pieces chan<- piece, a piece) bool {
	l.proxy.mu.Lock()
	delay := l.proxy.ways[d].delay
	l.proxy.mu.Unlock()
	if delay > 0 {
		a.due = time.Now().Add(delay)
	}
	select {
	case pieces <- a:
		return true
	case <-l.done:
		return false
	}
}

// write writes what goes in a direction until nothing more comes.
func (l *link) write(d Direction, pieces <-chan piece) {
	for {
		var a piece
		select {
		case a = <-pieces:
		case <-l.done:
			return
		}
		if !l.until(a.due) {
			return
		}
		if a.err != nil {
			if l.open(d) {
				l.endOf(d, a.err)
			}
			return
		}
		if !l.filtered(d, a.bytes) {
			return
		}
	}
}

// until waits for a moment, and reports whether the link still is there.
func (l *link) until(due time.Time) bool {
	if due.IsZero() {
		return true
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}

// filtered passes on what the filter leaves of a piece.
func (l *link) filtered(d Direction, b []byte) bool {
	if !l.open(d) {
		return false
	}
	p := l.proxy
	p.mu.Lock()
	filter := p.filter
	p.mu.Unlock()
	if filter != nil {
		var err error
		if b, err = filter(d, b); err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			l.end(false)
			return false
		}
	}
	return l.pass(d, b)
}

// pass writes bytes, as soon as nothing is frozen, and reports whether the link still is there. An
// end that is gone without the other one's knowledge takes everything.
func (l *link) pass(d Direction, b []byte) bool {
	l.turns[d].Lock()
	defer l.turns[d].Unlock()
	for len(b) > 0 {
		c := l.enter(d)
		if c == nil {
			break
		}
		n, err := c.Write(b)
		l.leave(d, err)
		b = b[n:]
	}
	return l.open(d)
}

// enter waits until bytes may go in a direction, says that they are written, and returns where to.
// That is nil where nobody takes them.
func (l *link) enter(d Direction) *net.TCPConn {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ways[d].frozen && !l.ended {
		p.changed.Wait()
	}
	if l.ended || l.cut[d] {
		return nil
	}
	_ = l.ends[d].SetWriteDeadline(time.Time{})
	l.writing[d] = true
	return l.ends[d]
}

// leave says that a write has ended. One that Freeze has interrupted goes on later.
func (l *link) leave(d Direction, err error) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	l.writing[d] = false
	p.changed.Broadcast()
	if err != nil && !l.cut[d] && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.end(true)
	}
}

// endOf passes on that nothing more comes in a direction.
func (l *link) endOf(d Direction, err error) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	l.over[d] = true
	switch {
	case l.ended || l.cut[d.back()]: // the proxy itself closed that end, which the other one does not learn
	case !errors.Is(err, io.EOF):
		l.end(true)
	case l.over[d.back()] || l.cut[d]:
		l.end(false)
	default:
		_ = l.ends[d].CloseWrite()
	}
}

// cutHalf closes the end that d leads to without the knowledge of the other one. The caller holds
// the lock of the proxy.
func (l *link) cutHalf(d Direction) {
	switch {
	case l.cut[d.back()] || l.ends[d] == nil:
		l.end(false) // nobody is left who could not know
	default:
		l.cut[d] = true
		_ = l.ends[d].Close()
	}
}

// end closes both ends, with a reset where that is asked for. The caller holds the lock of the
// proxy.
func (l *link) end(reset bool) {
	if l.ended {
		return
	}
	l.ended = true
	close(l.done)
	for _, c := range l.ends {
		if c == nil {
			continue
		}
		if reset {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
	l.proxy.changed.Broadcast()
}
