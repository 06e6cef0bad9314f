package eventtest_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/goroutines"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proxied is a proxy before a server whose connections the test has in its hand.
type proxied struct {
	*eventtest.Proxy

	server net.Listener
}

func startProxied(t *testing.T) *proxied {
	t.Helper()
	before := goroutines.Now()
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p, err := eventtest.StartProxy(server.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Close()
		p.Close()
		_ = server.Close()
		assert.Empty(t, before.Since("eventtest.(*Proxy)", "eventtest.(*link)"), "left behind by Close")
		assert.Zero(t, p.Connections())
	})
	return &proxied{p, server}
}

// dial connects a client.
func (p *proxied) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	require.NoError(t, err)
	return bounded(t, c)
}

// accept returns the next connection that reaches the server.
func (p *proxied) accept(t *testing.T) net.Conn {
	t.Helper()
	require.NoError(t, p.server.(*net.TCPListener).SetDeadline(time.Now().Add(10*time.Second)))
	c, err := p.server.Accept()
	require.NoError(t, err)
	return bounded(t, c)
}

func bounded(t *testing.T, c net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c
}

// connect returns both ends of a connection that works.
func (p *proxied) connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	client = p.dial(t)
	server = p.accept(t)
	passes(t, client, server)
	passes(t, server, client)
	return client, server
}

// passes sends a text and waits until it has come.
func passes(t *testing.T, from, to net.Conn) {
	t.Helper()
	say(t, from, "hello")
	hear(t, to, "hello")
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := c.Write([]byte(text))
	require.NoError(t, err)
}

func hear(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// silent checks that nothing comes for a while, not even an end.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	n, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "%d bytes came", n)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
}

// ends waits for the end of a connection and returns how it ended.
func ends(t *testing.T, c net.Conn) error {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	return err
}

// refused checks that a new connection is reset at once.
func (p *proxied) refused(t *testing.T) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err == nil { // it may be reset before the client knows that it is there
		err = ends(t, bounded(t, c))
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestProxyPassesEverything(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	var work sync.WaitGroup
	for _, c := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
		work.Go(func() {
			_, err := c.from.Write(sent)
			assert.NoError(t, err)
			assert.NoError(t, c.from.(*net.TCPConn).CloseWrite())
		})
		work.Go(func() {
			got, err := io.ReadAll(c.to)
			assert.NoError(t, err)
			assert.Len(t, got, len(sent))
			assert.True(t, bytes.Equal(sent, got))
		})
	}
	work.Wait()
	assert.Eventually(t, func() bool { return p.Connections() == 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, 1, p.Dials())
}

// An end that closes is seen by the other one, as it closed.
func TestProxyPassesEndsOn(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	require.NoError(t, client.Close())
	require.ErrorIs(t, ends(t, server), io.EOF)
	client, server = p.connect(t)
	require.NoError(t, server.(*net.TCPConn).SetLinger(0))
	require.NoError(t, server.Close())
	require.ErrorIs(t, ends(t, client), syscall.ECONNRESET)
}

func TestProxyWithoutTarget(t *testing.T) {
	p := startProxied(t)
	p.Point("")
	p.refused(t)
	p.Point(p.server.Addr().String())
	p.connect(t)
	assert.Equal(t, 2, p.Dials())
}

// A client that dials through the proxy reaches any address, with the same faults.
func TestProxyDial(t *testing.T) {
	p, other := startProxied(t), startProxied(t)
	dial := func(s *proxied) (client, server net.Conn) {
		c, err := p.Dial(t.Context(), "tcp", s.server.Addr().String())
		require.NoError(t, err)
		return bounded(t, c), s.accept(t)
	}
	client, server := dial(p)
	passes(t, client, server)
	second, end := dial(other)
	passes(t, second, end)
	dial(other)
	assert.Equal(t, 3, p.Dials())
	assert.Zero(t, other.Dials())
	p.Cut()
	_ = ends(t, client)
	_ = ends(t, second)
	_, err := p.Dial(t.Context(), "udp", p.Addr())
	require.ErrorContains(t, err, "use tcp")
	p.Close()
	_, err = p.Dial(t.Context(), "tcp", other.Addr())
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestProxyToNobody(t *testing.T) {
	p := startProxied(t)
	require.NoError(t, p.server.Close())
	_ = ends(t, p.dial(t))
}
