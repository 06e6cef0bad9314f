package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/withdrawal"
)

var _ leat.Withdrawer = (*Broker)(nil)

// Withdraw implements [leat.Withdrawer]: it refuses events that the writer has not begun to send.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	wanted := withdrawal.Of(events)
	p := b.publisher
	p.mu.Lock()
	refusal := withdrawal.Refusal(ctx, p.trouble())
	var all []verdict
	for c := p.oldest; c != nil; {
		next := c.newer
		if c.topic == topic {
			all = append(all, p.withdraw(c, wanted, refusal)...)
		}
		c = next
	}
	if len(all) > 0 {
		for i := range p.lanes {
			l := &p.lanes[i]
			l.queue = slices.DeleteFunc(l.queue, func(e *entry) bool { return e.told })
		}
		p.offerRoom()
	}
	p.mu.Unlock()
	tell(all)
}

// withdraw makes the verdicts of a call's entries that were not sent. The lock is held.
func (p *publisher) withdraw(c *call, wanted withdrawal.Set, refusal error) (all []verdict) {
	for i := range c.entries {
		e := &c.entries[i]
		if e.sent || e.told || e.postpone != nil || !wanted.Has(e.event) {
			continue
		}
		e.told = true
		p.release(e)
		all = append(all, verdict{entry: e, err: refusal})
	}
	return all
}

// trouble says what is wrong with the connection or the channels, nil where they are well. The lock is held.
func (p *publisher) trouble() error {
	if err := p.broker.publishing.health(); err != nil {
		if own, ok := errors.AsType[*leat.Error](err); ok {
			return own.Err
		}
		return err
	}
	if p.refusal.err != nil {
		return fmt.Errorf("no channel for a part of the keys: %w", p.refusal.err)
	}
	if !p.broker.publishing.connected() {
		return errors.New("there is no connection yet")
	}
	return nil
}

// connected reports whether there is a connection.
func (c *connector) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current != nil && !c.current.over()
}
