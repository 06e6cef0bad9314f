package nats

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stuckServer is a server that takes logins, and reads nothing any more when its clients send more
// than a few kilobytes.
func stuckServer(t *testing.T) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	over := make(chan struct{})
	t.Cleanup(func() {
		close(over)
		_ = l.Close()
		all.Wait()
	})
	serve := func(c net.Conn) {
		defer c.Close() //nolint:errcheck // it is done with
		_, _ = io.WriteString(c, `INFO {"server_id":"x","version":"2.11.0","proto":1,"headers":true,"max_payload":268435456}`+"\r\n")
		from := bufio.NewReaderSize(io.LimitReader(c, 8<<10), 16)
		for {
			line, err := from.ReadString('\n')
			if err != nil { // that was enough
				<-over
				return
			}
			if strings.HasPrefix(line, "PING") {
				_, _ = io.WriteString(c, "PONG\r\n")
			}
		}
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	return l.Addr().String()
}

// stuckBroker returns a broker. With stick, its connection to consume hangs in a write.
func stuckBroker(t *testing.T) (b *Broker, stick func()) {
	t.Helper()
	b, err := New(&Options{Hosts: []string{stuckServer(t)}, RequestTimeout: brokertest.Patience, CloseTimeout: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	require.Eventually(t, b.link.alive, brokertest.Patience, time.Millisecond)
	return b, func() {
		b.life.Tasks.Go(func() { _ = b.link.nc.Publish("x", make([]byte, 64<<20)) })
		require.Eventually(t, func() bool { // the client has its lock, and keeps it
			looked := make(chan struct{})
			b.life.Tasks.Go(func() {
				_ = b.link.nc.LastError()
				close(looked)
			})
			select {
			case <-looked:
				return false
			case <-time.After(100 * time.Millisecond):
				return true
			}
		}, brokertest.Patience, 200*time.Millisecond)
	}
}

func stuckStream(b *Broker) *Stream {
	sub := leat.Subscription{Topic: "t", Group: "g", Unordered: true}
	stream, consumer := &jetstream.StreamInfo{}, &jetstream.ConsumerInfo{Name: "g"}
	stream.Config.Name = "t"
	consumer.Config = b.consumerConfig(sub, &stream.Config)
	s := b.newStream(sub.WithDefaults(), stream, consumer)
	s.identity.looked = time.Now() // nobody would answer
	return s
}

// A server that does not read holds up the client, and neither health nor Close.
func TestStuckClientHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b, stick := stuckBroker(t)
	s := stuckStream(b)
	require.NoError(t, s.open(t.Context()))
	require.NoError(t, b.life.Add("t", s))
	require.Eventually(t, func() bool { // its first request is sent
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.pulls.open) > 0
	}, brokertest.Patience, time.Millisecond)
	stick()
	s.mu.Lock()
	s.pulls.end(0, s.pulls.events, s.pulls.bytes) // the next one is due
	s.mu.Unlock()
	lifecycle.Signal(s.poke)
	require.Eventually(t, func() bool { return requested(s) == 2 }, brokertest.Patience, time.Millisecond)

	began := time.Now()
	_ = s.Health()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(began), 5*time.Second)
}

// requested returns how many requests a stream has made, or 2 when that cannot be known.
func requested(s *Stream) uint64 {
	if !s.mu.TryLock() {
		return 2
	}
	defer s.mu.Unlock()
	return s.pulls.last
}

// A subscription does not wait longer for the client than its ctx lasts, and leaves nothing behind.
func TestStuckClientDoesNotHoldUpSubscribe(t *testing.T) {
	t.Parallel()
	b, stick := stuckBroker(t)
	s := stuckStream(b)
	stick()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	require.Error(t, s.open(ctx))
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(began), 5*time.Second)
}
