package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/require"
)

// newProxy returns a proxy that leads nowhere yet. The end of the test closes it.
func newProxy(t testing.TB) *eventtest.Proxy {
	t.Helper()
	p, err := eventtest.StartProxy("")
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// down refuses connections, and cuts those that there are.
func down(p *eventtest.Proxy) {
	p.Refuse()
	p.Cut()
}

// clients are the instances of the adapter that a harness has opened, each behind a proxy of its own.
type clients struct {
	mu  sync.Mutex
	all map[*client]struct{}
}

// client is an instance of the adapter, with the proxy that ends with it. The brokers advertise their own addresses, so the client dials
// through the proxy.
type client struct {
	*kafka.Broker

	proxy *eventtest.Proxy
	of    *clients
}

func (c *clients) open(o *kafka.Options) (leat.Broker, error) {
	p, err := eventtest.StartProxy("")
	if err != nil {
		return nil, err
	}
	b, err := kafka.NewDialing(o, p.Dial)
	if err != nil {
		p.Close()
		return nil, err
	}
	one := &client{b, p, c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[*client]struct{}{}
	}
	c.all[one] = struct{}{}
	return one, nil
}

func (c *client) Close() error {
	err := c.Broker.Close()
	c.proxy.Close()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	delete(c.of.all, c)
	return err
}

// Cut cuts the connections of all instances.
func (c *clients) Cut(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.all {
		one.proxy.Cut()
	}
	return nil
}

func (c *clients) Isolate(_ context.Context, b leat.Broker) error {
	return c.injure(b, func(p *eventtest.Proxy) { p.Freeze() })
}

func (c *clients) Rejoin(_ context.Context, b leat.Broker) error {
	return c.injure(b, (*eventtest.Proxy).Thaw)
}

func (c *clients) Drop(_ context.Context, b leat.Broker) error {
	return c.injure(b, func(p *eventtest.Proxy) {
		p.Refuse()
		p.Reset()
	})
}

// injure does something to the proxy of an instance.
func (*clients) injure(b leat.Broker, fault func(p *eventtest.Proxy)) error {
	one, ok := b.(*client)
	if !ok {
		return fmt.Errorf("the harness has not opened this %T", b)
	}
	fault(one.proxy)
	return nil
}
