package rabbitmq

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
	amqp "github.com/rabbitmq/amqp091-go"
)

// outlet is a channel of a lane, for as long as it lasts. One goroutine publishes by it, the
// writer, and its own waits for the answers.
type outlet struct {
	p       *publisher
	lane    int
	session *session
	ch      *amqp.Channel
	returns chan amqp.Return
	closes  chan *amqp.Error
	wake    chan struct{} // holds a token when something was written
	// listen's own: the oldest message where its answer is late, since when it is, and whether the
	// channel is closed for that
	late      *entry
	lateSince time.Time
	abandoned bool

	mu    sync.Mutex
	dead  bool     // the channel is over, nothing is entered any more
	ring  []*entry // what was sent and has no answer, by tag; its length is a power of two
	first uint64   // the oldest tag in it
	next  uint64   // the tag of the next message
}

// tokenBase is the base in which a message says its tag in its correlation id, so that a return
// says which it is.
const tokenBase = 36

// newOutlet returns the outlet of a lane. Returned messages always find room: the client waits for
// it, and drops what finds none in 5 s.
func newOutlet(p *publisher, lane int, s *session, ch *amqp.Channel) *outlet {
	size := 64
	for size < p.o.ConfirmWindow {
		size *= 2
	}
	return &outlet{
		p: p, lane: lane, session: s, ch: ch, wake: make(chan struct{}, 1), ring: make([]*entry, size), first: 1, next: 1,
		returns: ch.NotifyReturn(make(chan amqp.Return, p.o.ConfirmWindow)), closes: ch.NotifyClose(make(chan *amqp.Error, 1)),
	}
}

func (t *outlet) at(tag uint64) **entry { return &t.ring[tag&uint64(len(t.ring)-1)] }

// room returns how many more messages may be sent now, and whether none is without an answer.
func (t *outlet) room() (n int, empty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return 0, false
	}
	return t.p.o.ConfirmWindow - int(t.next-t.first), t.next == t.first
}

// enter notes a message that is about to be sent, and returns its tag; 0 when the channel is over.
func (t *outlet) enter(e *entry) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return 0
	}
	tag := t.next
	t.next++
	*t.at(tag) = e
	return tag
}

// written says that e was handed to the client.
func (t *outlet) written(e *entry, answer *amqp.DeferredConfirmation) {
	e.Value.answer.Store(answer)
	lifecycle.Signal(t.wake)
}

// lookAgain is how often an outlet looks for answers behind an entry that has none.
const lookAgain = 50 * time.Millisecond

// listen waits for answers until the channel is over.
func (t *outlet) listen() {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	var all []verdict
	for {
		var done <-chan struct{}
		wake, e := t.wake, t.oldest()
		if e != nil && e.Value.answer.Load() != nil {
			done, wake = e.Value.answer.Load().Done(), nil
			timer.Reset(lookAgain)
		}
		select {
		case <-done:
		case <-wake:
			continue
		case <-timer.C:
			t.watch(e)
		case err := <-t.closes:
			t.end(discreetAMQP(err))
			return
		}
		if all = t.answered(all[:0]); len(all) > 0 {
			t.p.finish(all)
			t.p.wake()
			clear(all)
		}
	}
}

// watch closes the channel when its oldest message has no answer long after it was reported as
// unknown, as of a queue without a majority: others would wait behind it for ever. In an alarm
// nothing is answered.
func (t *outlet) watch(oldest *entry) {
	if oldest == nil || t.session.blocking() != nil || !oldest.Told() {
		t.late = nil
		return
	}
	if t.late != oldest {
		t.late, t.lateSince = oldest, time.Now()
	}
	if !t.abandoned && time.Since(t.lateSince) >= min(t.p.o.DeliveryTimeout, publish.SlowAfter) {
		t.abandoned = true
		t.p.wg.Go(func() { _ = t.ch.Close() })
	}
}

// errLate is the end of a channel by watch.
var errLate = errors.New("the broker did not answer for one before it, and the channel was closed")

// oldest returns the oldest message without an answer, nil while there is none.
func (t *outlet) oldest() *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == t.next {
		return nil
	}
	return *t.at(t.first)
}

// answered takes what has an answer out of the ring, and says what it is. A channel that closes
// answers no to everything, so a no counts only while it is known to be open.
func (t *outlet) answered(all []verdict) []verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tag := t.first; tag < t.next; tag++ {
		e := *t.at(tag)
		if e == nil {
			continue
		}
		answer := e.Value.answer.Load()
		if answer == nil {
			continue
		}
		select {
		case <-answer.Done():
		default:
			continue
		}
		if answer.Acked() || !t.ch.IsClosed() {
			all = append(all, verdict{entry: e, tag: tag, proves: answer.Acked()})
		}
	}
	t.noteReturns() // now: a return comes before its answer, so those of all that were answered are here
	for i := range all {
		all[i].err = t.outcome(all[i].entry, all[i].proves)
		*t.at(all[i].tag) = nil
	}
	for t.first < t.next && *t.at(t.first) == nil {
		t.first++
	}
	return all
}

// noteReturns notes which messages found no queue. The answer to such a message, which comes next,
// is that the broker has handled it. The lock is held.
func (t *outlet) noteReturns() {
	for {
		select {
		case r, ok := <-t.returns:
			if !ok {
				return
			}
			tag, err := strconv.ParseUint(r.CorrelationId, tokenBase, 64)
			if err == nil && t.first <= tag && tag < t.next && *t.at(tag) != nil {
				r.Body, r.Headers = nil, nil
				(*t.at(tag)).Value.returned = &r
			}
		default:
			return
		}
	}
}

// errNack is a nack. A topic exchange may have several queues behind it, of which one has refused
// or failed.
var errNack = errors.New("the broker answered nack: a queue is full or failed, others may have the event")

func (t *outlet) outcome(e *entry, ack bool) error {
	switch {
	case !ack:
		return &leat.Error{Code: leat.CodeUnknown, Err: errNack}
	case e.Value.returned != nil && t.p.o.Unroutable != UnroutableDrop:
		return &leat.Error{Code: leat.CodeNotFound, Err: fmt.Errorf("no queue takes it, the broker says %d %s; declare the groups first "+
			"(leat.Declare, or Run, which does), or set Unroutable", e.Value.returned.ReplyCode, e.Value.returned.ReplyText)}
	}
	return nil
}

// end is the end of the channel: what has no answer is unknown. It is refused when it was the only
// one, and the broker has closed the channel alone, because then it was for that message.
func (t *outlet) end(cause *amqp.Error) {
	t.mu.Lock()
	t.dead = true
	t.mu.Unlock()
	all := t.answered(nil)
	var open []*entry // nobody else changes the ring any more
	for tag := t.first; tag < t.next; tag++ {
		if e := *t.at(tag); e != nil {
			open = append(open, e)
		}
	}
	why := errClosedConnection
	switch {
	case cause != nil:
		why = cause
	case t.abandoned:
		why = errLate
	}
	refused := len(open) == 1 && cause != nil && cause.Server && !t.session.conn.IsClosed()
	code := leat.CodeUnknown
	if refused {
		code, why = amqpCode(cause), refusal(cause)
	} else {
		why = fmt.Errorf("the channel ended before an answer came: %w", why)
	}
	outcome := &leat.Error{Code: code, Err: why}
	for _, e := range open {
		all = append(all, verdict{entry: e, err: outcome})
	}
	if refused {
		t.p.refuseLike(t.lane, open[0], cause, outcome)
	}
	t.p.forget(t, open, cause)
	t.p.finish(all)
	t.p.wake()
}
