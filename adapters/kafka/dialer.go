package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dialPause is how long a broker is left alone after an attempt to connect failed.
const dialPause = time.Second

// dialer connects to brokers. It dials one that failed at most once a second, however many of the
// client's connections want it. A connection that was made and never worked is a failure too: that
// is what a proxy without a broker behind it, or a refused login, looks like.
type dialer struct {
	net net.Dialer
	tls *tls.Config // nil without TLS
	// plain connects without TLS. It is net's own unless a test has another.
	plain func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	peers map[string]*peer // by address
}

func newDialer(o *Options) *dialer {
	d := &dialer{net: net.Dialer{Timeout: o.DialTimeout}, tls: o.TLS, peers: map[string]*peer{}}
	d.plain = d.net.DialContext
	return d
}

// dial is kgo's dial function. Within the pause after a failure it fails with the same error,
// without touching the network. It must not wait: the client dials in turn what it wants, and a
// broker that is down would delay requests to those that are up. The client asks again.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l, err := d.link(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *link
	}
	return l, nil
}

func (d *dialer) link(ctx context.Context, network, address string) (*link, error) {
	d.mu.Lock()
	p := d.peers[address]
	if p == nil {
		p = &peer{}
		d.peers[address] = p
	}
	d.mu.Unlock()
	if err := p.mayDial(); err != nil {
		return nil, err
	}
	conn, err := d.connect(ctx, network, address)
	if err != nil {
		if ctx.Err() == nil { // else the caller gave up, which says nothing about the broker
			p.failed(err)
		}
		return nil, err
	}
	return &link{Conn: conn, peer: p}, nil
}

func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if d.tls == nil {
		return d.plain(ctx, network, address)
	}
	return (&tls.Dialer{NetDialer: &d.net, Config: d.tls}).DialContext(ctx, network, address)
}

// peer is what is known of an address.
type peer struct {
	mu     sync.Mutex
	err    error     // what was wrong with the last attempt; nil while all is well
	last   time.Time // when that was noted, or the address was dialed again
	resets int       // how many connections in a row ended before they worked
}

// mayDial returns nil when the peer may be dialed now, else the error of the last attempt. The
// first caller after the pause dials; the pause begins anew for the others.
func (p *peer) mayDial() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && time.Since(p.last) < dialPause {
		return p.err
	}
	p.last = time.Now()
	return nil
}

// failed notes that an attempt failed.
func (p *peer) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.last = err, time.Now()
}

// freeResets is how many connections in a row may end before they work without a pause: Event Hubs
// ends those whose first request is newer than it is, and the client tries three times at once, the
// third time with an older request (franz-go, loadConnection).
const freeResets = 2

// reset notes that a connection ended before anything came from it.
func (p *peer) reset(addr net.Addr, err error) {
	p.mu.Lock()
	p.resets++
	free := p.resets <= freeResets
	p.mu.Unlock()
	if !free {
		// The end of a connection is final for the client in some places; a failure to connect is
		// not.
		ended := errors.New("the connection ended at once: " + err.Error())
		p.failed(&net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: ended})
	}
}

// worked notes that a connection can be used.
func (p *peer) worked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.resets = nil, 0
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
	switch {
	case err == nil:
		l.peer.worked()
	case l.heard && !errors.Is(err, kgo.ErrClientClosed) && !errors.Is(err, context.Canceled):
		l.peer.failed(err) // a connection of which nothing was heard was noted as a reset
	}
}
