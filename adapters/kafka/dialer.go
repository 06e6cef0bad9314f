package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// dialPause is how long a broker is left alone after a connection attempt failed.
const dialPause = time.Second

// dialer connects to brokers, to one that failed at most once a second, however many of the client's connections want it.
type dialer struct {
	net net.Dialer
	tls *tls.Config // nil without TLS

	mu    sync.Mutex
	peers map[string]*peer // by address
}

// peer is an address. One attempt at a time is made to it, so that all of the client's connections learn from one failure.
type peer struct {
	turn   chan struct{} // holds a token while an attempt is under way, which may use what follows
	failed time.Time     // when the last attempt failed; zero if it did not
	err    error
}

func newDialer(o *Options) *dialer {
	d := &dialer{net: net.Dialer{Timeout: o.DialTimeout}, peers: map[string]*peer{}}
	if o.TLS != nil {
		d.tls = o.TLS.Clone()
		d.tls.MinVersion = max(d.tls.MinVersion, tls.VersionTLS12)
	}
	return d
}

// dial is kgo's dial function. Within the pause after a failure it fails with the same error, without touching the network; the
// client asks again.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
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
	if !p.failed.IsZero() && time.Since(p.failed) < dialPause {
		return nil, fmt.Errorf("%w (not dialed again yet)", p.err)
	}
	conn, err := d.connect(ctx, network, address)
	p.failed, p.err = time.Time{}, err
	if err != nil {
		p.failed = time.Now()
	}
	return conn, err
}

func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if d.tls == nil {
		return d.net.DialContext(ctx, network, address)
	}
	return (&tls.Dialer{NetDialer: &d.net, Config: d.tls}).DialContext(ctx, network, address)
}
