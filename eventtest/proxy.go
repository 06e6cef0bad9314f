package eventtest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy is a TCP proxy on 127.0.0.1 that stands between one client and its broker and injects the
// faults of a network. Give each client a Proxy of its own, so that a fault hits that client alone.
//
// A client finds its way through a Proxy in one of two ways. A client that connects to the
// addresses it is given (RabbitMQ, NATS) gets [Proxy.Addr] instead of the broker's address. A
// client that connects to addresses that brokers advertise (Kafka) gets [Proxy.Dial] as its dial
// function; the brokers advertise their own addresses then.
//
// Faults last until they are taken back and combine with each other. They also hit the connections
// that are made later. All methods are safe for concurrent use.
type Proxy struct {
	addr   string
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond // of everything below, and of the links
	closed  bool
	target  string
	fronts  map[string]net.Listener // by what Dial was asked for; that of Addr is ""
	links   map[*link]struct{}
	ways    [2]way
	refuses bool
	dials   int
	filter  func(d Direction, b []byte) ([]byte, error)
}

// Direction says which way bytes go through a [Proxy].
type Direction uint8

// The directions.
const (
	// ToBroker is the way of what the client sends.
	ToBroker Direction = iota
	// ToClient is the way of what the broker sends.
	ToClient
)

// back returns the other direction.
func (d Direction) back() Direction { return 1 - d }

// way is what a proxy does to one direction.
type way struct {
	frozen bool
	delay  time.Duration
}

// StartProxy starts a proxy that passes connections on to target, "host:port". An empty target ends
// each connection at once, until [Proxy.Point] names one. Close ends the proxy.
func StartProxy(target string) (*Proxy, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{ctx: ctx, cancel: cancel, target: target, fronts: map[string]net.Listener{}, links: map[*link]struct{}{}}
	p.changed.L = &p.mu
	p.mu.Lock()
	defer p.mu.Unlock()
	front, err := p.front("")
	if err != nil {
		cancel()
		return nil, err
	}
	p.addr = front.Addr().String()
	return p, nil
}

// Addr returns the address where the proxy listens for the target of [StartProxy].
func (p *Proxy) Addr() string { return p.addr }

// Point makes target the one that later connections to [Proxy.Addr] are passed on to. Those that
// there are stay as they are.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Dial connects to address through the proxy. Use it as the dial function of a client. The network
// must be "tcp".
func (p *Proxy) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("dialing through a proxy: the network %q is not supported; use tcp", network)
	}
	p.mu.Lock()
	front, err := p.front(address)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, front.Addr().String())
}

// Close ends the proxy: it closes all connections, and returns when no goroutine of it is left.
// Closing twice does nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	for _, front := range p.fronts {
		_ = front.Close()
	}
	p.endAll(false)
	p.mu.Unlock()
	p.work.Wait()
}

// front returns the listener for a target, which it starts the first time. The caller holds the
// lock.
func (p *Proxy) front(target string) (net.Listener, error) {
	if p.closed {
		return nil, fmt.Errorf("the proxy is closed: %w", net.ErrClosed)
	}
	if front := p.fronts[target]; front != nil {
		return front, nil
	}
	front, err := (&net.ListenConfig{}).Listen(p.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a proxy: %w", err)
	}
	p.fronts[target] = front
	p.work.Go(func() { p.accept(front, target) })
	return front, nil
}

// accept takes connections until the front is closed.
func (p *Proxy) accept(front net.Listener, target string) {
	for {
		c, err := front.Accept()
		if err != nil {
			return // closed, most likely
		}
		client, ok := c.(*net.TCPConn)
		if !ok {
			_ = c.Close()
			continue
		}
		if l := p.admit(client, target); l != nil {
			p.work.Go(l.serve)
		}
	}
}

// admit counts a connection and returns its link, or ends it where the proxy refuses connections.
func (p *Proxy) admit(client *net.TCPConn, target string) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	if target == "" {
		target = p.target
	}
	if p.closed || p.refuses || target == "" {
		_ = client.SetLinger(0)
		_ = client.Close()
		return nil
	}
	l := &link{proxy: p, target: target, done: make(chan struct{})}
	l.ends[ToClient] = client
	p.links[l] = struct{}{}
	return l
}
