package awssnssqs

import (
	"context"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
)

// lane sends events of one topic, one request after the other. Events with the same key share a
// lane. It exists while it has events.
type lane struct {
	p     *publisher
	key   laneKey
	queue publish.Queue[parcel]
}

type laneKey struct {
	topic  string
	number int
}

// push puts entries into the lanes of their topic, and begins to send where nobody does.
func (p *publisher) push(topic string, entries []publish.Entry[parcel]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var l *lane // of the entry before
	for i := range entries {
		if number := p.numberOf(&entries[i].Value); l == nil || l.key.number != number {
			l = p.laneOf(laneKey{topic, number})
		}
		l.queue.Push(&entries[i])
	}
}

// laneOf returns a lane, which begins where there is none. The lock is held.
func (p *publisher) laneOf(key laneKey) *lane {
	l := p.lanes[key]
	if l == nil {
		l = &lane{p: p, key: key}
		p.lanes[key] = l
		p.tasks.Go(l.run)
	}
	return l
}

// over removes the lane where nothing waits, and reports whether it has.
func (l *lane) over() bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if !l.queue.Empty() && l.p.ctx.Err() == nil {
		return false
	}
	delete(l.p.lanes, l.key)
	return true
}

// run sends what waits. It begins nothing while nobody can be reached, and ends after that only, so
// that health tells the end of an outage also where nothing waits any more.
func (l *lane) run() {
	var pause lifecycle.Pause
	offline := false
	for {
		err := l.p.to.dialer.reachable(l.p.ctx)
		if err == nil || l.p.ctx.Err() != nil {
			if l.over() {
				break
			}
			err = l.sendNext()
			offline = isDial(err) && !isLogin(err) && l.p.to.transport != nil // the dialer knows the end of that only
		} else {
			offline = true
		}
		if err == nil {
			pause.Reset()
			continue
		}
		l.p.note(err)
		pause.Sleep(l.p.ctx)
	}
	if offline {
		l.p.note(nil)
	}
}

// sendNext sends a batch of what waits. An error says why the next one should wait.
func (l *lane) sendNext() error {
	ctx, cancel := l.p.b.bounded(l.p.ctx)
	defer cancel()
	to, err := l.p.b.target(ctx, l.key.topic)
	if err == nil {
		err = l.p.b.login(ctx) // before the events are begun: what waits for it can still be withdrawn
	}
	if err != nil {
		why := refusal(codeOf(err), err)
		if isTemporary(leat.CodeOf(why)) && (isLogin(err) || !isStrange(err)) {
			return why // a login is about no event
		}
		l.queue.Refuse(why, nil)
		if isStrange(err) {
			return why
		}
		return nil
	}
	batch := l.take()
	if len(batch) == 0 {
		return nil
	}
	s := &shipment{l: l, to: to, began: time.Now()}
	left, err := s.send(batch)
	if len(batch) == 1 && isStrange(err) { // it may be the event, for which others should not wait
		s.refuse(left, err)
	} else {
		s.putBack(left, err)
	}
	return err
}

func isTemporary(code leat.Code) bool {
	return code == leat.CodeUnavailable || code == leat.CodeExhausted
}

// take takes and begins what fits into one request.
func (l *lane) take() (batch []*publish.Entry[parcel]) {
	size := 0
	want := func(e *publish.Entry[parcel]) bool {
		return len(batch) == 0 || len(batch) < mostEntries && size+e.Value.size <= l.p.b.o.MaxMessageBytes
	}
	for e := l.queue.Next(want); e != nil; e = l.queue.Next(want) {
		size += e.Value.size
		batch = append(batch, e)
	}
	return batch
}

// shipment is events on their way to a topic, in one or several requests.
type shipment struct {
	l      *lane
	to     target
	began  time.Time
	stored bool // something of it
}

// send sends entries in order, and gives each its outcome but those that are left. Of these the
// error says why, and that this request has not stored them.
func (s *shipment) send(batch []*publish.Entry[parcel]) (left []*publish.Entry[parcel], why error) {
	var pause lifecycle.Pause
	for len(batch) > 0 {
		ctx, cancel := context.WithTimeout(s.l.p.ctx, s.l.p.b.o.RequestTimeout)
		errs, err := s.l.p.b.post(ctx, s.to, batch)
		cancel()
		sent, code := len(batch), publishCode(err)
		switch {
		case err == nil:
			if batch, err = s.settle(batch, errs); len(batch) == 0 {
				s.l.p.note(nil)
				return nil, nil
			}
		case code == leat.CodeUnknown:
			for _, e := range batch {
				e.Value.doubtful = true
			}
		case len(batch) > 1 && (isAboutEvents(code) || isStrange(err)):
			return s.each(batch)
		case code != leat.CodeUnavailable && code != leat.CodeExhausted:
			s.refuse(batch, refusal(code, err))
			s.l.p.note(nil) // this is about the events
			return nil, nil
		case isStrange(err):
			return batch, refusal(code, err)
		}
		err = refusal(publishCode(err), err)
		s.l.p.note(err)
		switch {
		case !isDoubtful(batch):
			if len(batch) == sent {
				return batch, err
			}
			s.putBack(batch, err)
			pause.Sleep(s.l.p.ctx)
			return nil, nil // something is stored
		case !s.repeats(batch) || !pause.Sleep(s.l.p.ctx):
			s.refuse(batch, err)
			return nil, nil
		}
	}
	return nil, nil
}

// each sends entries alone, so that one which is refused does not affect the others. Where others
// are stored, a code that nobody knows is about the event, else it may be about the account.
func (s *shipment) each(batch []*publish.Entry[parcel]) (left []*publish.Entry[parcel], why error) {
	var strange []error // of those that are left
	for i := range batch {
		rest, err := s.send(batch[i : i+1])
		if err == nil {
			continue
		}
		left, why = append(left, rest...), err
		if !isStrange(err) {
			left = append(left, batch[i+1:]...)
			break
		}
		strange = append(strange, err)
	}
	if !s.stored {
		return left, why
	}
	for i, err := range strange {
		s.refuse(left[i:i+1], &leat.Error{Code: leat.CodeInvalid, Err: inner(err)})
	}
	if left = left[len(strange):]; len(left) == 0 {
		return nil, nil
	}
	return left, why
}

// putBack lets entries wait again, and refuses those that may be stored.
func (s *shipment) putBack(batch []*publish.Entry[parcel], err error) {
	for _, e := range slices.Backward(batch) {
		if e.Value.doubtful {
			e.Done(e.Value.outcome(err))
			continue
		}
		s.l.queue.PutBack(e)
	}
}

func isDoubtful(batch []*publish.Entry[parcel]) bool {
	return slices.ContainsFunc(batch, func(e *publish.Entry[parcel]) bool { return e.Value.doubtful })
}

// isAboutEvents reports whether a refused request may be all right without one of its events.
func isAboutEvents(code leat.Code) bool { return code == leat.CodeInvalid || code == leat.CodeTooLarge }

// repeats reports whether a request whose outcome is unknown may be sent again: a FIFO topic knows
// the deduplication ids for five minutes.
func (s *shipment) repeats(batch []*publish.Entry[parcel]) bool {
	if !s.to.fifo || time.Since(s.began) > longestDelivery {
		return false
	}
	for _, e := range batch {
		if !e.Told() {
			return true
		}
	}
	return false
}

func (s *shipment) refuse(batch []*publish.Entry[parcel], err error) {
	if leat.CodeOf(err) == leat.CodeNotFound {
		s.l.p.b.urls.Delete(s.l.key.topic)
	}
	for _, e := range batch {
		e.Done(e.Value.outcome(err))
	}
}

// settle gives the entries of a request their outcomes, and returns those that are to be sent
// again, and why. Nothing is sent again behind a later event of its group that may be stored.
func (s *shipment) settle(batch []*publish.Entry[parcel], errs []error) (again []*publish.Entry[parcel], why error) {
	some := slices.Contains(errs, nil)
	s.stored = s.stored || some || errs == nil
	if errs == nil {
		s.l.p.note(nil) // before anybody is told
		for _, e := range batch {
			e.Done(nil)
		}
		return nil, nil
	}
	repeats, stored := s.repeats(batch), map[string]bool{}
	for i, e := range slices.Backward(batch) {
		code := leat.CodeOf(errs[i])
		group := e.Value.group
		e.Value.doubtful = e.Value.doubtful || code == leat.CodeUnknown && errs[i] != nil
		temporary := code == leat.CodeExhausted || code == leat.CodeUnknown && repeats
		if isStrange(errs[i]) {
			temporary = !some // where others are stored, it is the event
			if some {
				errs[i] = &leat.Error{Code: leat.CodeInvalid, Err: inner(errs[i])}
			}
		}
		switch {
		case errs[i] != nil && temporary && !e.Told() && !stored[group]:
			again, why = append([]*publish.Entry[parcel]{e}, again...), errs[i]
		default:
			e.Done(e.Value.outcome(errs[i]))
		}
		if errs[i] == nil || e.Value.doubtful {
			stored[group] = true
		}
	}
	return again, why
}
