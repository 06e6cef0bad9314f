package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
)

// What was admitted before any broker has accepted this producer is held here and not given to the
// client. The client does not say whether it has sent a record, and cannot take back a single one,
// so that an event of which nobody has heard would be of unknown outcome. The first answer lets
// everything go, in order; from then on nothing is held.

// hold holds entries, unless they may be sent.
func (p *publisher) hold(entries []publish.Entry[record]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open.Load() || p.ctx.Err() != nil {
		return false
	}
	for i := range entries {
		p.held.Push(&entries[i])
	}
	if !p.opening {
		p.opening = true
		p.asking.Go(p.ask)
	}
	return true
}

// ask asks for an answer of the cluster until there is one or nothing is held any more.
func (p *publisher) ask() {
	for !p.quiet() {
		began := time.Now()
		err := p.question()
		if err == nil {
			p.release()
			return
		}
		if isHopeless(err) {
			p.held.Refuse(&leat.Error{Code: codeOf(err), Err: discreet(err)}, nil)
			continue
		}
		pause := time.NewTimer(time.Until(began.Add(dialPause)))
		select {
		case <-pause.C:
		case <-p.ctx.Done():
			pause.Stop()
		}
	}
}

// quiet reports whether there is nothing to ask for; then the next entry that is held begins anew.
func (p *publisher) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opening = !p.held.Empty() && p.ctx.Err() == nil
	return !p.opening
}

// release gives the client what is held.
func (p *publisher) release() {
	client, doubts := p.clients.current(), p.conns.doubts.Load()
	for {
		for e := p.held.Next(nil); e != nil; e = p.held.Next(nil) {
			p.produce(client, e, doubts)
		}
		p.mu.Lock()
		if p.held.Empty() {
			p.open.Store(true)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

var errNotYet = errors.New("no broker has answered yet; check that host and port are those of a Kafka broker")

// trouble says why nothing could be sent, or answered.
func (p *publisher) trouble() error {
	why := p.conns.last()
	if why == nil && p.open.Load() {
		return nil
	}
	if why == nil {
		why = errNotYet
	}
	code := codeOf(why)
	if code == leat.CodeCanceled || code == leat.CodeClosed { // a context that ended is the client's own
		code = leat.CodeUnavailable
	}
	return &leat.Error{Code: code, Err: discreet(why)}
}

// Withdraw implements [leat.Withdrawer]: it refuses events that were taken before any broker has
// accepted this producer. Later ones belong to the client, which does not say whether it has sent
// them.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	if !b.publisher.open.Load() { // else nothing is held, and there is no need to look through all that is under way
		b.publisher.ledger.Withdraw(ctx, topic, events)
	}
}
