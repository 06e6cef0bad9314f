package rabbitmq_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/require"
)

// proxy is a proxy before a broker that knows some of AMQP.
type proxy struct {
	*eventtest.Proxy

	mu    sync.Mutex
	cuts  []string // each ends the connection, once, when a client sends it
	drops []string // each is not passed on, once, when the broker sends it
	keeps string   // is never passed on when the broker sends it; "" is nothing
}

// newProxy returns a proxy before target, or one that leads nowhere. The end of the test closes it.
func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	inner, err := eventtest.StartProxy(target)
	require.NoError(t, err)
	t.Cleanup(inner.Close)
	p := &proxy{Proxy: inner}
	p.Filter(p.pass)
	return p
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

var errMark = errors.New("the connection ends here")

// pass is the proxy's filter.
func (p *proxy) pass(d eventtest.Direction, b []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == eventtest.ToBroker {
		if once(&p.cuts, b) {
			return nil, errMark
		}
		return b, nil
	}
	if once(&p.drops, b) || p.keeps != "" && bytes.Contains(b, []byte(p.keeps)) {
		return nil, nil
	}
	return b, nil
}

// once reports whether b has one of the marks, and removes that one.
func once(marks *[]string, b []byte) bool {
	i := slices.IndexFunc(*marks, func(mark string) bool { return bytes.Contains(b, []byte(mark)) })
	if i >= 0 {
		*marks = slices.Delete(*marks, i, i+1)
	}
	return i >= 0
}

// What AMQP 0-9-1 calls methods, as they begin.
const (
	methodChannelOpen    = "\x00\x14\x00\x0a"
	methodQueueDeclareOK = "\x00\x32\x00\x0b"
	methodBasicAck       = "\x00\x3c\x00\x50"
)

// frameCancel is the frame by which a broker cancels the consumer of a stream that is the first on
// its connection: a method, channel 1, its length, basic.cancel, the consumer's tag, and that no
// answer is wanted.
const frameCancel = "\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x1e\x04leat\x01\xce"
