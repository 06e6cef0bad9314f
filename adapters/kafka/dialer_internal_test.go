package kafka

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDialAfterGivingUp gives up dialing: whoever comes next is not told so, but dials, a second
// later at most.
func TestDialAfterGivingUp(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	d := newDialer(&Options{DialTimeout: 5 * time.Second})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 { // it may give up before or while it dials
		_, err := d.dial(ended, "tcp", l.Addr().String())
		require.Error(t, err)
	}
	begin := time.Now()
	c, err := d.dial(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	assert.Less(t, time.Since(begin), dialPause+250*time.Millisecond)
}

// TestDialPause dials an address where nobody listens: within the pause the network is left alone.
func TestDialPause(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	d := newDialer(&Options{DialTimeout: 5 * time.Second})
	_, err = d.dial(t.Context(), "tcp", addr)
	require.Error(t, err)
	l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	begin := time.Now()
	for {
		c, err := d.dial(t.Context(), "tcp", addr)
		if err == nil {
			require.NoError(t, c.Close())
			break
		}
		assert.True(t, isDial(err), "%v", err)
	}
	assert.InDelta(t, dialPause.Seconds(), time.Since(begin).Seconds(), 0.1)
}

// TestDialAfterResets: the client may try three times at once to find the requests that a broker
// knows, of which the first two end the connection. Further ones pause.
func TestDialAfterResets(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	d := newDialer(&Options{DialTimeout: 5 * time.Second})
	for i := range 4 {
		c, err := d.dial(t.Context(), "tcp", l.Addr().String())
		if i == 3 {
			require.True(t, isDial(err), "%v", err)
			break
		}
		require.NoError(t, err)
		other, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, other.Close())
		_, err = c.Read(make([]byte, 1))
		require.True(t, isReset(err), "%v", err)
		require.NoError(t, c.Close())
	}
}
