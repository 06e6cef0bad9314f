package kafka

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// dialPause is how long a broker is left alone after a connection attempt failed.
const dialPause = time.Second

// dialer connects to brokers, to one that failed at most once a second, however many of the client's connections want it. A connection
// that was made and never worked is a failure too: that is what a proxy without a broker behind it, or a refused login, looks like.
type dialer struct {
	net   net.Dialer
	tls   *tls.Config                                                          // nil without TLS
	plain func(ctx context.Context, network, address string) (net.Conn, error) // connects without TLS; net's own unless a test has another

	mu    sync.Mutex
	peers map[string]*peer // by address
}

func newDialer(o *Options) *dialer {
	d := &dialer{net: net.Dialer{Timeout: o.DialTimeout}, tls: o.TLS, peers: map[string]*peer{}}
	d.plain = d.net.DialContext
	return d
}

// dial is kgo's dial function. Within the pause after a failure it fails with the same error, without touching the network; the
// client asks again.
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
		p = &peer{turn: make(chan struct{}, 1)}
		d.peers[address] = p
	}
	d.mu.Unlock()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := p.mayDial(ctx); err != nil {
		return nil, err
	}
	conn, err := d.connect(ctx, network, address)
	if err != nil {
		p.failedToDial(ctx, err)
		return nil, err
	}
	p.dialed()
	return &link{Conn: conn, peer: p}, nil
}

func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if d.tls == nil {
		return d.plain(ctx, network, address)
	}
	return (&tls.Dialer{NetDialer: &d.net, Config: d.tls}).DialContext(ctx, network, address)
}
