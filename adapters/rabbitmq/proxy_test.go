package rabbitmq_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between the adapter and a broker, so that connections can be cut.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	conns  map[net.Conn]struct{}
	// clients are those of conns that lead to a client.
	clients map[net.Conn]struct{}
	refuse  bool
	dials   int
	cuts    []string // each ends the connection, once, when a client sends it
	drops   []string // each is not passed on, once, when the broker sends it
	keeps   string   // is never passed on when the broker sends it; "" is nothing
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, conns: map[net.Conn]struct{}{}, clients: map[net.Conn]struct{}{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// dialed returns how many connections there were.
func (p *proxy) dialed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

func (p *proxy) point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	p.mu.Lock()
	p.dials++
	target, refuse := p.target, p.refuse
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := net.Dial("tcp", target) //nolint:noctx // it ends with the listener
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	p.mu.Lock()
	p.conns[client], p.conns[server], p.clients[client] = struct{}{}, struct{}{}, struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, client)
		delete(p.clients, client)
		delete(p.conns, server)
		p.mu.Unlock()
	}()
	var wg sync.WaitGroup
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	wg.Go(func() { pipe(&marked{Conn: server, p: p, marks: &p.cuts, err: errMark}, client) })
	wg.Go(func() { pipe(&marked{Conn: client, p: p, marks: &p.drops}, server) })
	wg.Wait()
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// cutAt ends a connection when its client sends mark, once, instead of sending it.
func (p *proxy) cutAt(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = append(p.cuts, mark)
}

// drop drops mark, and what the broker sends together with it, once.
func (p *proxy) drop(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops = append(p.drops, mark)
}

// keep drops mark whenever the broker sends it, until it is called with "".
func (p *proxy) keep(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keeps = mark
}

// say sends bytes to all clients, which must be whole frames, while the broker says nothing.
func (p *proxy) say(frames string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.clients {
		_, _ = c.Write([]byte(frames))
	}
}

// marked is a connection that ends at a mark, or drops it.
type marked struct {
	net.Conn

	p     *proxy
	marks *[]string
	err   error // nil drops it
}

var errMark = errors.New("the connection ends here")

func (m *marked) Write(b []byte) (int, error) {
	m.p.mu.Lock()
	for i, mark := range *m.marks {
		if bytes.Contains(b, []byte(mark)) {
			*m.marks = slices.Delete(*m.marks, i, i+1)
			m.p.mu.Unlock()
			return len(b), m.err
		}
	}
	kept := m.err == nil && m.p.keeps != "" && bytes.Contains(b, []byte(m.p.keeps))
	m.p.mu.Unlock()
	if kept {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// What AMQP 0-9-1 calls methods, as they begin.
const (
	methodChannelOpen    = "\x00\x14\x00\x0a"
	methodQueueDeclareOK = "\x00\x32\x00\x0b"
	methodBasicAck       = "\x00\x3c\x00\x50"
)

// frameCancel is the frame by which a broker cancels the consumer of a stream that is the first on its connection: a method, channel 1, its
// length, basic.cancel, the consumer's tag, and that no answer is wanted.
const frameCancel = "\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x1e\x04leat\x01\xce"
