package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/withdrawal"
)

// What a publish had taken before any broker has accepted this producer is held here and not given to the client. The client does not
// say whether it has sent a record, and cannot take back a single one, so that an event of which nobody has heard would be of unknown
// outcome. The first answer lets everything go, in order; from then on nothing is held.

// hold holds a call, unless it may be sent.
func (p *publisher) hold(c *call) bool {
	if p.granted.Load() && !p.holding.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.granted.Load() && !p.holding.Load() {
		return false
	}
	c.held = true
	p.held = append(p.held, c)
	if !p.holding.Load() {
		p.holding.Store(true)
		p.opened, p.hurry = make(chan struct{}), make(chan struct{}, 1)
		p.opening.Go(p.open)
	}
	return true
}

// open asks for an answer of the cluster until there is one or nothing is held any more.
func (p *publisher) open() {
	defer close(p.opened)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-p.hurry:
		}
		if !p.granted.Load() && p.holdsAny() {
			if t := p.question(p.renewal.client()); t != nil {
				<-t.answered
				if t.err != nil {
					p.refuseHeld(t.err)
				}
			}
		}
		if p.release() {
			return
		}
		pause.Reset(dialPause)
	}
}

// awaitOpened waits until nothing is held any more, or ctx ends.
func (p *publisher) awaitOpened(ctx context.Context) {
	p.mu.Lock()
	opened := p.opened
	p.mu.Unlock()
	if opened == nil {
		return
	}
	select {
	case <-opened:
	case <-ctx.Done():
	}
}

func (p *publisher) holdsAny() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held) > 0
}

// release gives the client what is held, where a broker has accepted this producer. It reports whether nothing is held any more; then
// the next call that has to be begins anew.
func (p *publisher) release() bool {
	for {
		p.mu.Lock()
		if len(p.held) == 0 {
			p.held = nil
			p.holding.Store(false)
			p.mu.Unlock()
			return true
		}
		if !p.granted.Load() {
			p.mu.Unlock()
			return false
		}
		c := p.held[0]
		p.held[0] = nil
		p.held = p.held[1:]
		c.held = false
		var records []*record // c may be used for something else as soon as the last of them is answered
		for i := range c.records {
			if r := &c.records[i]; !r.withdrawn {
				records = append(records, r)
			}
		}
		p.mu.Unlock()
		client := p.renewal.client()
		for _, r := range records {
			client.TryProduce(context.Background(), &r.kafka, answered)
		}
	}
}

// unhold takes a call out, and returns its records, for which nobody else answers any more. The lock is held.
func (p *publisher) unhold(c *call) (records []*record) {
	c.held = false
	p.held = slices.DeleteFunc(p.held, func(other *call) bool { return other == c })
	for i := range c.records {
		if r := &c.records[i]; !r.withdrawn {
			r.withdrawn = true
			records = append(records, r)
		}
	}
	p.hasten()
	return records
}

// hasten lets open see that nothing is held any more. The lock is held.
func (p *publisher) hasten() {
	if len(p.held) == 0 && p.holding.Load() {
		select {
		case p.hurry <- struct{}{}:
		default:
		}
	}
}

// refuseHeld refuses everything that is held.
func (p *publisher) refuseHeld(err error) {
	p.mu.Lock()
	var records []*record
	for len(p.held) > 0 {
		records = append(records, p.unhold(p.held[0])...)
	}
	p.mu.Unlock()
	p.refuse(records, err)
}

// refuse reports records that nothing was sent of.
func (p *publisher) refuse(records []*record, err error) {
	cause := err
	if own, ok := errors.AsType[*leat.Error](err); ok {
		cause = own.Err
	}
	for _, r := range records {
		p.settle(r, r.failure(leat.CodeOf(err), cause))
	}
}

// unheard says why nothing could be sent.
func (p *publisher) unheard() error {
	if err := p.conns.last(); err != nil {
		return err
	}
	return errors.New("no broker has answered yet")
}

// late returns the error of what was held for the whole DeliveryTimeout.
func (p *publisher) late() error {
	why := p.unheard()
	return &leat.Error{Code: unreachedCode(why), Err: fmt.Errorf("not sent within the DeliveryTimeout of %v: %w", p.o.DeliveryTimeout, why)}
}

// unsent returns the error of what was held when ctx ended.
func (p *publisher) unsent(ctx context.Context) error {
	why := p.unheard()
	err := withdrawal.Refusal(ctx, why)
	err.Code = unreachedCode(why)
	return err
}

// unreachedCode is the code of what could not be sent. A context that ended is the client's own.
func unreachedCode(err error) leat.Code {
	if code := codeOf(err); code != leat.CodeCanceled && code != leat.CodeClosed {
		return code
	}
	return leat.CodeUnavailable
}

// Withdraw implements [leat.Withdrawer]: it refuses events that were taken before any broker has accepted this producer. Later ones
// belong to the client, which does not say whether it has sent them.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	p := b.publisher
	if !p.holding.Load() {
		return
	}
	wanted := withdrawal.Of(events)
	p.mu.Lock()
	var records []*record
	p.held = slices.DeleteFunc(p.held, func(c *call) bool {
		if c.topic != topic {
			return false
		}
		left := 0
		for i := range c.records {
			switch r := &c.records[i]; {
			case r.withdrawn:
			case wanted.Has(r.event):
				r.withdrawn = true
				records = append(records, r)
			default:
				left++
			}
		}
		c.held = left > 0
		return left == 0
	})
	p.hasten()
	p.mu.Unlock()
	p.refuse(records, p.unsent(ctx))
}
