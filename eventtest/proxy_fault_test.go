package eventtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProxyCutAndReset(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Cut()
	require.ErrorIs(t, ends(t, client), io.EOF)
	require.ErrorIs(t, ends(t, server), io.EOF)
	client, server = p.connect(t)
	p.Reset()
	require.ErrorIs(t, ends(t, client), syscall.ECONNRESET)
	require.ErrorIs(t, ends(t, server), syscall.ECONNRESET)
	p.connect(t)
}

func TestProxyRefuse(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Refuse()
	p.refused(t)
	passes(t, client, server)
	p.Admit()
	p.connect(t)
	assert.Equal(t, 3, p.Dials())
}

func TestProxyFreeze(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Freeze()
	say(t, client, "to the broker")
	say(t, server, "to the client")
	late := p.dial(t)
	say(t, late, "late")
	silent(t, client)
	silent(t, server)
	silent(t, late)
	p.Thaw()
	hear(t, server, "to the broker")
	hear(t, client, "to the client")
	hear(t, p.accept(t), "late")
	passes(t, client, server)
}

// A write that waits for a receiver does not keep Freeze from returning, and goes on where it was.
func TestProxyFreezeWhileTheReceiverReadsNothing(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var work sync.WaitGroup
	work.Go(func() {
		_, err := client.Write(sent)
		assert.NoError(t, err)
		assert.NoError(t, client.(*net.TCPConn).CloseWrite())
	})
	flicker := func() {
		for range 20 {
			p.Freeze()
			p.Thaw()
		}
	}
	flicker()
	work.Go(func() {
		got, err := io.ReadAll(server)
		assert.NoError(t, err)
		assert.True(t, bytes.Equal(sent, got))
	})
	flicker()
	work.Wait()
}

func TestProxyFreezeOneDirection(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Freeze(eventtest.ToClient)
	passes(t, client, server)
	say(t, server, "answer")
	silent(t, client)
	late := p.dial(t)
	passes(t, late, p.accept(t))
	p.Thaw()
	hear(t, client, "answer")
	p.Freeze(eventtest.ToBroker)
	passes(t, server, client)
	say(t, client, "request")
	silent(t, server)
	p.Thaw()
	hear(t, server, "request")
}

// While all packets get lost, no end learns that the other one has closed.
func TestProxyFreezeHidesEnds(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Freeze()
	say(t, client, "last words")
	require.NoError(t, client.Close())
	silent(t, server)
	p.Thaw()
	hear(t, server, "last words")
	require.ErrorIs(t, ends(t, server), io.EOF)
}

// What a frozen proxy has is cut, reset and closed as ever.
func TestProxyCutWhileFrozen(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Freeze()
	late := p.dial(t)
	require.Eventually(t, func() bool { return p.Connections() == 2 }, 10*time.Second, time.Millisecond)
	say(t, client, "lost")
	p.Cut()
	_ = ends(t, client)
	require.ErrorIs(t, ends(t, server), io.EOF)
	_ = ends(t, late)
	p.Thaw()
	p.connect(t)
}

func TestProxyCutHalf(t *testing.T) {
	for _, d := range []eventtest.Direction{eventtest.ToBroker, eventtest.ToClient} {
		p := startProxied(t)
		client, server := p.connect(t)
		gone, other := client, server
		if d == eventtest.ToBroker {
			gone, other = server, client
		}
		p.CutHalf(d)
		require.ErrorIs(t, ends(t, gone), io.EOF)
		for range 10 {
			say(t, other, "is anybody there?")
			silent(t, other)
		}
		assert.Equal(t, 1, p.Connections())
		p.connect(t)
		require.NoError(t, other.Close())
		assert.Eventually(t, func() bool { return p.Connections() == 1 }, 10*time.Second, time.Millisecond)
	}
}

func TestProxyCutBothHalves(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.CutHalf(eventtest.ToClient)
	_ = ends(t, client)
	silent(t, server)
	p.Cut()
	require.ErrorIs(t, ends(t, server), io.EOF)
}

func TestProxyDelay(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	const delay = 50 * time.Millisecond
	p.Delay(eventtest.ToClient, delay)
	passes(t, client, server)
	began := time.Now()
	say(t, server, "one")
	say(t, server, "two")
	hear(t, client, "onetwo")
	assert.GreaterOrEqual(t, time.Since(began), delay)
	p.Delay(eventtest.ToClient, time.Hour)
	say(t, server, "never")
	p.Cut()
	_ = ends(t, client)
	p.Delay(eventtest.ToClient, 0)
	p.connect(t)
}

func TestProxyFilter(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Filter(func(d eventtest.Direction, b []byte) ([]byte, error) {
		switch {
		case d == eventtest.ToClient:
			return bytes.ToUpper(b), nil
		case bytes.Contains(b, []byte("secret")):
			return nil, nil
		case bytes.Contains(b, []byte("end")):
			return nil, errors.New("ends here")
		}
		return b, nil
	})
	say(t, server, "answer")
	hear(t, client, "ANSWER")
	say(t, client, "secret")
	silent(t, server)
	say(t, client, "the end")
	require.ErrorIs(t, ends(t, server), io.EOF)
	require.ErrorIs(t, ends(t, client), io.EOF)
	p.Filter(nil)
	p.connect(t)
}

func TestProxySend(t *testing.T) {
	p := startProxied(t)
	client, server := p.connect(t)
	p.Send(eventtest.ToClient, []byte("made up"))
	hear(t, client, "made up")
	p.Send(eventtest.ToBroker, []byte("as well"))
	hear(t, server, "as well")
}

// Everything at once, for the race detector.
func TestProxyUnderEverything(t *testing.T) {
	p := startProxied(t)
	var servers sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := p.server.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				c, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr())
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(10 * time.Millisecond))
				_, _ = c.Write(make([]byte, 100<<10))
				_, _ = io.ReadFull(c, make([]byte, 100<<10))
				_ = c.Close()
			}
		})
	}
	faults := []func(){
		p.Cut, p.Reset, func() { p.Freeze() }, p.Thaw, p.Refuse, p.Admit, func() { p.CutHalf(eventtest.ToBroker) },
		func() { p.CutHalf(eventtest.ToClient) }, func() { p.Freeze(eventtest.ToClient) },
		func() { p.Delay(eventtest.ToBroker, time.Millisecond) }, func() { p.Delay(eventtest.ToBroker, 0) },
	}
	for i := 0; ctx.Err() == nil; i++ {
		faults[i*7%len(faults)]()
	}
	clients.Wait()
	p.Close()
	_ = p.server.Close()
	servers.Wait()
}
