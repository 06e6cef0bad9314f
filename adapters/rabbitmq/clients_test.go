package rabbitmq_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/eventtest"
)

// clients are the instances of the adapter that a harness has opened, each behind a proxy of its own.
type clients struct {
	mu  sync.Mutex
	all map[*client]struct{}
}

// client is an instance of the adapter, with the proxy that ends with it.
type client struct {
	*rabbitmq.Broker

	proxy *eventtest.Proxy
	of    *clients
}

// open opens an instance of which every connection leads to target.
func (c *clients) open(o rabbitmq.Options, target string) (leat.Broker, error) {
	p, err := eventtest.StartProxy(target)
	if err != nil {
		return nil, err
	}
	o.Hosts = []string{p.Addr()}
	b, err := rabbitmq.New(&o)
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
