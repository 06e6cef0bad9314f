package kafka_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// proxied is a fake Kafka whose clients come through a proxy.
type proxied struct {
	*fake

	proxy *eventtest.Proxy
}

// newProxied starts a fake whose one node says that it is at the proxy's address: the proxy listens
// where the node would.
func newProxied(t testing.TB) *proxied {
	t.Helper()
	p := newProxy(t)
	addr, err := net.ResolveTCPAddr("tcp", p.Addr())
	require.NoError(t, err)
	inner := make(chan net.Listener, 1)
	f := newFake(t, kfake.ListenFn(func(network, _ string) (net.Listener, error) {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		inner <- l
		return &renamed{l, addr}, nil
	}))
	p.Point((<-inner).Addr().String())
	return &proxied{f, p}
}

// atRest waits until the connections that were cut have been dialed once more at once, each of
// which may take its time on a busy machine, and returns how many dials there were: nothing is
// dialed for a part of the pause then.
func (p *proxied) atRest(t testing.TB) (dials int) {
	t.Helper()
	since := time.Now()
	require.NoError(t, await(5*time.Second, func() error {
		if n := p.proxy.Dials(); n != dials {
			dials, since = n, time.Now()
		}
		if time.Since(since) < 300*time.Millisecond {
			return errors.New("the client dials without a pause")
		}
		return nil
	}))
	return dials
}

// renamed is a listener that gives another address as its own.
type renamed struct {
	net.Listener

	addr net.Addr
}

func (r *renamed) Addr() net.Addr { return r.addr }

// TestOutage takes the broker away while everything is under way, and counts the attempts to
// connect.
func TestOutage(t *testing.T) {
	t.Parallel()
	f := newProxied(t)
	require.NoError(t, f.CreateTopic("t", 1, nil))
	o := quick(f.proxy.Addr())
	o.DeliveryTimeout = 2 * time.Minute // longer than the outage
	b := open(t, o)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	r := read(s)
	defer r.stop()
	require.NoError(t, publishOne(b, "t", event("0", "k"), 5*time.Second))
	require.NoError(t, r.until(5*time.Second, "0"))

	down(f.proxy)
	length := 4 * time.Second
	if long() {
		length = time.Minute
	}
	under := publish(t.Context(), b, "t", event("1", "k"), event("2", "k"))
	before := f.atRest(t)
	time.Sleep(length) // the length of the outage is what is tested
	n := f.proxy.Dials() - before
	t.Logf("%d dials in %v", n, length)
	assert.LessOrEqual(t, n, int(length/time.Second)+1, "dials in %v", length)
	code(t, leat.CodeUnavailable, b.Health())

	f.proxy.Admit()
	errs, err := under.wait(10 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, []error{nil, nil}, errs)
	require.NoError(t, publishOne(b, "t", event("3", "k"), 5*time.Second))
	require.NoError(t, r.until(10*time.Second, "1", "2", "3"))
	require.NoError(t, r.inOrder())
	require.NoError(t, await(15*time.Second, b.Health))
	ids, err := stored("t", f.proxy.Addr())
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"0", "1", "2", "3"}}, ids, "each once, in order")
}

// TestDeliveryTimeoutSaysWhy: an event that was given to the client, and has no answer in time,
// says what is wrong with the connection.
func TestDeliveryTimeoutSaysWhy(t *testing.T) {
	t.Parallel()
	f := newProxied(t)
	require.NoError(t, f.CreateTopic("t", 1, nil))
	o := quick(f.proxy.Addr())
	o.DeliveryTimeout = time.Second
	b := open(t, o)
	require.NoError(t, publishOne(b, "t", event("0", "k"), 5*time.Second))
	down(f.proxy)
	err := publishOne(b, "t", event("1", "k"), 5*time.Second)
	code(t, leat.CodeUnknown, err)
	require.ErrorContains(t, err, "no answer within the DeliveryTimeout of 1s: ")
	require.ErrorContains(t, err, "connect")
	assert.Equal(t, 1, strings.Count(err.Error(), "DeliveryTimeout"))
}

// code checks that an error is one of Leat's, with a code.
func code(t testing.TB, want leat.Code, err error) {
	t.Helper()
	var e *leat.Error
	if assert.ErrorAs(t, err, &e) {
		assert.Equal(t, want, e.Code, "%v", err)
	}
}
