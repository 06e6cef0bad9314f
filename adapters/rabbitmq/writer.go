package rabbitmq

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// write sends what is in the lanes until the publisher is closed.
func (p *publisher) write() {
	for {
		select {
		case <-p.work:
		case <-p.ctx.Done():
			return
		}
		for p.ctx.Err() == nil && p.pass() {
		}
	}
}

// pass sends a batch of each lane, and reports whether there may be more to send now.
func (p *publisher) pass() bool {
	if !p.pending() {
		return false
	}
	s, err := p.broker.publishing.connect(p.ctx)
	if err != nil {
		p.refuseAll(err)
		return false
	}
	if s.blocking() != nil { // what is not sent is certain, if it gets too late
		_ = s.unblocked(p.ctx)
		return true
	}
	if p.session != s {
		p.session, p.notBefore = s, time.Time{}
		p.mu.Lock()
		clear(p.proven) // nothing is known of the new connection
		clear(p.byKey)
		p.mu.Unlock()
	}
	p.openOutlets(s)
	if s.over() {
		return true // there may be lanes without a channel, for which nobody else would look again
	}
	s.link.cork()
	defer s.link.uncork()
	more := false
	for i := range p.lanes {
		more = p.send(i) || more
	}
	return more
}

// pending reports whether something is to be sent.
func (p *publisher) pending() bool {
	for i := range p.lanes {
		if !p.lanes[i].queue.Empty() {
			return true
		}
	}
	p.noteRefusal(nil) // what waited for a channel is reported by now
	return false
}

// openOutlets opens the channels of the lanes that have something to send. When the broker refuses
// one, this is tried again later, and the lanes that have theirs go on. When the connection is
// over, lanes may be left without.
func (p *publisher) openOutlets(s *session) {
	var refusal error
	for i := range p.lanes {
		p.mu.Lock()
		l := &p.lanes[i]
		needed := !l.queue.Empty() && (l.outlet == nil || l.outlet.session != s)
		if needed {
			l.outlet = nil // where there is one, the connection is new, and the end of the old channel about to be noticed
		}
		p.mu.Unlock()
		switch {
		case !needed:
			continue
		case time.Until(p.notBefore) > 0:
			refusal = p.refusal.Err
			continue
		}
		if err := p.openOutlet(i, s); err != nil {
			if s.over() {
				return
			}
			refusal, p.notBefore = err, time.Now().Add(dialPause)
			p.noteRefusal(err)
			time.AfterFunc(dialPause, p.wake)
		}
	}
	p.noteRefusal(refusal)
}

// noteRefusal notes why a lane has no channel, nil that none needs one or each has its own.
func (p *publisher) noteRefusal(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal.Set(err)
}

// openOutlet opens the channel of a lane.
func (p *publisher) openOutlet(i int, s *session) error {
	p.encoder.frameBytes = s.conn.Config.FrameSize
	var ch *amqp.Channel
	err := s.do(p.ctx, func(own *amqp.Channel) error {
		ch = own
		return own.Confirm(false)
	})
	if err != nil {
		return err
	}
	t := newOutlet(p, i, s, ch)
	p.mu.Lock()
	p.lanes[i].outlet = t
	p.mu.Unlock()
	p.wg.Go(t.listen) // which may find at once that it is over, and takes it away again
	return nil
}

// mostSent is how many messages of a lane are sent before it is another's turn.
const mostSent = 256

// send sends a batch of a lane, and reports whether there may be more to send now.
func (p *publisher) send(i int) bool {
	t, batch, more := p.next(i)
	for n, e := range batch {
		if !p.sendOne(t, e) {
			for _, unsent := range slices.Backward(batch[n:]) {
				p.lanes[i].queue.PutBack(unsent)
			}
			more = false
			break
		}
	}
	clear(batch)
	return more
}

// next takes the entries of a lane that may be sent now. The first of a route goes alone: when the
// broker closes the channel, it was for this one, and no other is lost with it.
func (p *publisher) next(i int) (t *outlet, batch []*entry, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.lanes[i]
	if t = l.outlet; t == nil || l.queue.Empty() {
		return t, nil, false
	}
	room, empty := t.room()
	if l.alone && !empty {
		return t, nil, false
	}
	l.alone = false
	batch = p.batch[:0]
	last, proven := route{}, false
	mayGo := func(e *entry) bool {
		if r := p.routeOf(e); len(batch) == 0 || r != last {
			last, proven = r, p.proven[r]
		}
		return proven || empty && len(batch) == 0
	}
	for len(batch) < min(room, mostSent) {
		e := l.queue.Next(mayGo)
		if e == nil {
			break
		}
		batch = append(batch, e)
		if !proven {
			l.alone = true
			break
		}
	}
	p.batch = batch
	return t, batch, len(batch) == mostSent && !l.queue.Empty()
}

// sendOne sends an entry, and returns false when it was not, because the channel is over.
func (p *publisher) sendOne(t *outlet, e *entry) bool {
	message, err := p.encoder.encode(e.Event(), e.Value.trace)
	if err != nil {
		e.Done(err)
		p.wake() // there is no answer that would
		return true
	}
	tag := t.enter(e)
	if tag == 0 {
		return false
	}
	if e.Value.postpone != nil {
		e.Value.postpone.apply(&message)
	}
	message.CorrelationId = strconv.FormatUint(tag, tokenBase)
	answer, err := t.ch.PublishWithDeferredConfirm(e.Value.exchange, e.Value.key, p.o.Unroutable != UnroutableDrop, false, message)
	if err == nil {
		t.written(e, answer)
	} else if !t.ch.IsClosed() {
		t.session.link.kill()
	}
	return true // without an answer, the end of the channel tells what became of it
}

// refuseAll refuses what was not sent.
func (p *publisher) refuseAll(err error) {
	if errors.Is(err, context.Canceled) {
		return // closePublishing does it
	}
	p.noteRefusal(nil)
	for i := range p.lanes {
		p.lanes[i].queue.Refuse(&leat.Error{Code: codeOf(err), Err: err}, nil)
	}
}
