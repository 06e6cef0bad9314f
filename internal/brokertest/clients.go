package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
)

// Adapter is what an adapter for a real broker implements, so that the suite sees all of it through
// [Clients].
type Adapter interface {
	leat.Broker
	leat.Declarer
	leat.HealthReporter
	leat.LagReporter
	leat.Withdrawer
}

// Clients are the instances of an adapter that a harness has opened, each behind a proxy of its
// own. A harness that embeds Clients is an [eventtest.Cutter], an [eventtest.Isolator] and an
// [eventtest.Dropper]. The zero value is ready.
type Clients struct {
	mu  sync.Mutex
	all map[*client]struct{}
}

// client is an instance of the adapter, with the proxy that ends with it.
type client struct {
	Adapter

	proxy *eventtest.Proxy
	of    *Clients
}

// Via returns an instance that open makes, behind a new proxy that leads to target; "" is for a
// client that dials through the proxy.
func (c *Clients) Via(target string, open func(p *eventtest.Proxy) (Adapter, error)) (leat.Broker, error) {
	p, err := eventtest.StartProxy(target)
	if err != nil {
		return nil, err
	}
	b, err := open(p)
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

// Close implements [leat.Broker].
func (c *client) Close() error {
	err := c.Adapter.Close()
	c.proxy.Close()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	delete(c.of.all, c)
	return err
}

// Cut implements [eventtest.Cutter].
func (c *Clients) Cut(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.all {
		one.proxy.Cut()
	}
	return nil
}

// Isolate implements [eventtest.Isolator].
func (c *Clients) Isolate(_ context.Context, b leat.Broker) error {
	return c.injure(b, func(p *eventtest.Proxy) { p.Freeze() })
}

// Rejoin implements [eventtest.Isolator].
func (c *Clients) Rejoin(_ context.Context, b leat.Broker) error {
	return c.injure(b, (*eventtest.Proxy).Thaw)
}

// Drop implements [eventtest.Dropper].
func (c *Clients) Drop(_ context.Context, b leat.Broker) error {
	return c.injure(b, func(p *eventtest.Proxy) {
		p.Refuse()
		p.Reset()
	})
}

// injure does something to the proxy of an instance.
func (*Clients) injure(b leat.Broker, fault func(p *eventtest.Proxy)) error {
	one, ok := b.(*client)
	if !ok {
		return fmt.Errorf("the harness has not opened this %T", b)
	}
	fault(one.proxy)
	return nil
}

// Browse implements [leat.Browser], for an adapter that does.
func (c *client) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	if b, ok := c.Adapter.(leat.Browser); ok {
		return b.Browse(ctx, sub, show)
	}
	return &leat.Error{Op: "browse", Topic: sub.Topic, Code: leat.CodeUnsupported, Err: errors.ErrUnsupported}
}
