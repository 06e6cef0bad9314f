package kafka_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// proxied is a fake Kafka whose clients come through a proxy.
type proxied struct {
	*fake

	proxy *proxy
}

// newProxied starts a fake whose one node says that it is at the proxy's address: the proxy listens where the node would.
func newProxied(t testing.TB) *proxied {
	t.Helper()
	p := newProxy(t)
	inner := make(chan net.Listener, 1)
	f := newFake(t, kfake.ListenFn(func(network, _ string) (net.Listener, error) {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		inner <- l
		return &renamed{l, p.listener.Addr()}, nil
	}))
	p.point((<-inner).Addr().String())
	return &proxied{f, p}
}

// renamed is a listener that gives another address as its own.
type renamed struct {
	net.Listener

	addr net.Addr
}

func (r *renamed) Addr() net.Addr { return r.addr }

// down refuses connections, and cuts those that there are.
func (p *proxy) down() {
	p.mu.Lock()
	p.refuse = true
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
}

// dialed returns how often the proxy was dialed since the last call.
func (p *proxy) dialed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.dials
	p.dials = 0
	return n
}

// TestOutage takes the broker away while everything is under way, and counts the attempts to connect.
func TestOutage(t *testing.T) {
	t.Parallel()
	f := newProxied(t)
	require.NoError(t, f.CreateTopic("t", 1, nil))
	o := quick(f.proxy.addr())
	o.DeliveryTimeout = 2 * time.Minute // longer than the outage
	b := open(t, o)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	r := read(s)
	defer r.stop()
	require.NoError(t, publishOne(b, "t", event("0", "k"), 5*time.Second))
	require.NoError(t, r.until(5*time.Second, "0"))

	f.proxy.down()
	length := 4 * time.Second
	if long() {
		length = time.Minute
	}
	under := publish(t.Context(), b, "t", event("1", "k"), event("2", "k"))
	time.Sleep(100 * time.Millisecond) // the connections that are cut may be dialed once more at once
	f.proxy.dialed()
	time.Sleep(length) // the length of the outage is what is tested
	n := f.proxy.dialed()
	t.Logf("%d dials in %v", n, length)
	assert.LessOrEqual(t, n, int(length/time.Second)+1, "dials in %v", length)
	code(t, leat.CodeUnavailable, b.Health())

	f.proxy.up()
	errs, err := under.wait(10 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, []error{nil, nil}, errs)
	require.NoError(t, publishOne(b, "t", event("3", "k"), 5*time.Second))
	require.NoError(t, r.until(10*time.Second, "1", "2", "3"))
	require.NoError(t, r.inOrder())
	require.NoError(t, await(15*time.Second, b.Health))
	ids, err := stored("t", f.proxy.addr())
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"0", "1", "2", "3"}}, ids, "each once, in order")
}

// code checks that an error is one of Leat's, with a code.
func code(t testing.TB, want leat.Code, err error) {
	t.Helper()
	var e *leat.Error
	if assert.ErrorAs(t, err, &e) {
		assert.Equal(t, want, e.Code, "%v", err)
	}
}
