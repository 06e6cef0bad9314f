package awssnssqs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
)

// lane sends events of one topic, one request after the other. Events with the same key share a
// lane.
type lane struct {
	p     *publisher
	topic string
	queue publish.Queue[parcel]

	mu   sync.Mutex
	busy bool // a goroutine sends
}

// push adds an entry, and begins to send where nobody does.
func (l *lane) push(e *publish.Entry[parcel]) {
	l.queue.Push(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy {
		l.busy = true
		l.p.tasks.Go(l.run)
	}
}

// idle reports whether nothing waits. The goroutine that sends ends then.
func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = !l.queue.Empty() && l.p.ctx.Err() == nil
	return !l.busy
}

// run sends what waits.
func (l *lane) run() {
	pause := newPause()
	for !l.idle() {
		err := l.p.dialer.reachable(l.p.ctx)
		if err == nil {
			err = l.sendNext()
		}
		l.p.note(err)
		if err != nil {
			pause.sleep(l.p.ctx)
			continue
		}
		pause.reset()
	}
}

// sendNext sends a batch of what waits. An error says that nothing was sent, and why.
func (l *lane) sendNext() error {
	ctx, cancel := l.p.b.bounded(l.p.ctx)
	defer cancel()
	to, err := l.p.b.target(ctx, l.topic)
	if err != nil {
		err = refusal(codeOf(err), err)
		if isTemporary(leat.CodeOf(err)) {
			return err
		}
		l.queue.Refuse(err, nil)
		return nil
	}
	batch := l.take()
	if len(batch) == 0 {
		return nil
	}
	return (&shipment{l: l, to: to, began: time.Now()}).send(batch)
}

func isTemporary(code leat.Code) bool {
	return code == leat.CodeUnavailable || code == leat.CodeExhausted || code == leat.CodeCanceled
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
	l     *lane
	to    target
	began time.Time
}

// send sends entries in order, and gives each its outcome. An error says that certainly none of
// those that are left is stored, and that they wait again.
func (s *shipment) send(batch []*publish.Entry[parcel]) error {
	pause := newPause()
	for len(batch) > 0 {
		ctx, cancel := context.WithTimeout(s.l.p.ctx, s.l.p.b.o.RequestTimeout)
		errs, err := s.l.p.b.post(ctx, s.to, batch)
		cancel()
		sent, code := len(batch), publishCode(err)
		switch {
		case err == nil:
			if batch, err = s.settle(batch, errs); len(batch) == 0 {
				return nil
			}
		case code == leat.CodeUnknown:
			for _, e := range batch {
				e.Value.doubtful = true
			}
		case len(batch) > 1 && isAboutEvents(code):
			return s.each(batch)
		case code != leat.CodeUnavailable && code != leat.CodeExhausted:
			s.refuse(batch, refusal(code, err))
			return nil
		}
		err = refusal(publishCode(err), err)
		s.l.p.note(err)
		switch {
		case !isDoubtful(batch):
			s.putBack(batch, err)
			if len(batch) == sent {
				return err
			}
			lifecycle.Sleep(s.l.p.ctx, shortestPause)
			return nil // something is stored
		case !s.repeats(batch) || !pause.sleep(s.l.p.ctx):
			s.refuse(batch, err)
			return nil
		}
	}
	return nil
}

// each sends entries alone, so that one which is refused does not affect the others.
func (s *shipment) each(batch []*publish.Entry[parcel]) error {
	for i := range batch {
		if err := s.send(batch[i : i+1]); err != nil {
			s.putBack(batch[i+1:], err)
			return err
		}
	}
	return nil
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
		s.l.p.b.forget(s.l.topic)
	}
	for _, e := range batch {
		e.Done(e.Value.outcome(err))
	}
}

// settle gives the entries of a request their outcomes, and returns those that are to be sent
// again, and why. Nothing is sent again behind a later event of its group that may be stored.
func (s *shipment) settle(batch []*publish.Entry[parcel], errs []error) (again []*publish.Entry[parcel], why error) {
	if errs == nil {
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
