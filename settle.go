package leat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leatgo/leat/internal/backoff"
)

// outcome is what becomes of an item after a worker had it.
type outcome struct {
	kind  outcomeKind
	delay time.Duration
}

type outcomeKind uint8

const (
	outcomeHandled  outcomeKind = iota + 1 // acked
	outcomePoisoned                        // in the poison queue and acked, or rejected natively
	outcomeLost                            // its lease ended
	outcomeRetry                           // again after delay, as the handler or a policy said
	outcomeFailing                         // again after delay, by the engine's own backoff
	outcomePause                           // again when the pause of delay is over; no attempt
	outcomeEnded                           // the engine ended the handler's context; no attempt
	outcomePoison                          // to the poison queue
	outcomeStuck                           // there is no poison queue; it stays
)

// defaultBackoff paces the retries of an error that no middleware judged, and of a poison queue that fails.
var defaultBackoff = backoff.Policy{Initial: 100 * time.Millisecond, Max: 30 * time.Second, Multiplier: 2, Jitter: 0.5}

const (
	// poisonTimeout bounds one publish to the poison queue.
	poisonTimeout = 10 * time.Second
	// brokerDelay is from where on the delay of an event without a key is left to a broker that can delay.
	brokerDelay = time.Minute
)

// handle runs one attempt of an item, or publishes it to the poison queue, and settles it when that went well. The lock is free.
func (e *engine) handle(it *item) outcome {
	if it.poison == nil {
		err := e.call(it)
		if err == nil && !it.lease.ended.Load() {
			e.stream.Settle(&it.d, Settlement{Action: Ack})
			return outcome{kind: outcomeHandled}
		}
		if o := e.judgeError(it, err); o.kind != outcomePoison {
			return o
		}
	}
	return e.poison(it)
}

// judgeError turns the error of an attempt into what follows from it. For outcomePoison it leaves the verdict on the item.
func (e *engine) judgeError(it *item, err error) outcome {
	switch {
	case it.lease.ended.Load():
		return outcome{kind: outcomeLost}
	case it.lease.ctx.Err() != nil:
		return outcome{kind: outcomeEnded} // whatever the handler says: it was told to stop
	}
	v, ok := errors.AsType[*verdict](err)
	if !ok {
		return outcome{kind: outcomeFailing, delay: defaultBackoff.Delay(it.attempts, rand.Float64)}
	}
	switch v.kind {
	case verdictPause:
		return outcome{kind: outcomePause, delay: v.delay}
	case verdictRetry:
		delay := v.delay
		if hold := e.caps.LongestHold; hold > 0 {
			delay = min(delay, hold)
		}
		return outcome{kind: outcomeRetry, delay: delay}
	}
	it.poison = &Poisoned{Event: it.d.Event, Reason: err, Info: it.info(e.c.sub, it.attempts), At: time.Now()}
	return outcome{kind: outcomePoison}
}

// poison puts an item that has its verdict into the poison queue and acks it when that is confirmed.
func (e *engine) poison(it *item) outcome {
	queue := e.c.o.PoisonQueue
	switch {
	case it.lease.ended.Load():
		return outcome{kind: outcomeLost}
	case queue == nil && e.caps.NativeReject:
		e.stream.Settle(&it.d, Settlement{Action: NativeReject})
		return outcome{kind: outcomePoisoned}
	case queue == nil:
		return outcome{kind: outcomeStuck}
	}
	if !e.mayPoison() {
		return outcome{kind: outcomeFailing, delay: defaultBackoff.Delay(max(it.tries, 1), rand.Float64)}
	}
	ctx, cancel := context.WithTimeout(it.lease.ctx, poisonTimeout)
	defer cancel()
	done := false
	defer func() {
		if !done {
			e.poisonResult(errors.New("the poison queue called runtime.Goexit"))
		}
	}()
	err := callPoison(ctx, queue, *it.poison)
	done = true
	e.poisonResult(err)
	switch {
	case it.lease.ended.Load():
		return outcome{kind: outcomeLost}
	case err == nil:
		e.stream.Settle(&it.d, Settlement{Action: Ack})
		return outcome{kind: outcomePoisoned}
	case it.lease.ctx.Err() != nil:
		return outcome{kind: outcomeEnded}
	}
	it.tries++
	return outcome{kind: outcomeFailing, delay: defaultBackoff.Delay(it.tries, rand.Float64)}
}

func callPoison(ctx context.Context, queue PoisonQueue, p Poisoned) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the poison queue panicked: %v", v)
		}
	}()
	return queue.Poison(ctx, p)
}

// mayPoison lets one worker at a time try while the poison queue is down, so that it does not use up the handlers.
func (e *engine) mayPoison() bool {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	if e.poisonDown == nil {
		return true
	}
	if e.poisonProbing {
		return false
	}
	e.poisonProbing = true
	return true
}

func (e *engine) poisonResult(err error) {
	e.c.mu.Lock()
	was := e.poisonDown
	e.poisonDown, e.poisonProbing = err, false
	e.c.mu.Unlock()
	switch {
	case err != nil && was == nil:
		e.c.o.Logger.Error("poison queue failed; events stay unsettled until it works", "topic", e.c.sub.Topic, "group", e.c.sub.Group, "error", err)
	case err == nil && was != nil:
		e.c.o.Logger.Info("poison queue works again", "topic", e.c.sub.Topic, "group", e.c.sub.Group)
	}
}

// finish does with an item that a worker had what its outcome says. The lock is held.
func (e *engine) finish(it *item, o outcome) {
	e.running--
	total := &e.c.total
	switch {
	case o.kind == outcomeHandled:
		total.handled++
		if it.skipped {
			total.skipped++
		}
		e.c.attempts.forget(it)
		e.leave(it)
		return
	case o.kind == outcomePoisoned:
		total.poisoned++
		e.c.attempts.forget(it)
		e.leave(it)
		return
	case o.kind == outcomeLost || it.lease.ended.Load():
		e.lose(it)
		return
	}
	switch {
	case it.poison != nil:
	case o.kind == outcomePause || o.kind == outcomeEnded: // the event is not to blame
		if it.attempts--; it.attempts == 0 {
			it.first = time.Time{}
		}
	default:
		total.retried++
	}
	it.failing = o.kind == outcomeFailing
	if e.stopping || it.lease.draining || o.kind == outcomeEnded {
		if it.crash != nil && e.stopping {
			e.crashes = append(e.crashes, it.crash)
		}
		e.giveBackLane(it)
		return
	}
	e.hold(it, o)
}

// hold keeps an item for another attempt. The lock is held.
func (e *engine) hold(it *item, o outcome) {
	now := time.Now()
	switch {
	case o.kind == outcomePause:
		e.pauseUntil(now.Add(o.delay))
		e.ready.push(it)
	case o.kind == outcomeStuck:
		e.c.o.Logger.Error("event stays unsettled: it was rejected and there is no poison queue",
			"topic", e.c.sub.Topic, "group", e.c.sub.Group, "type", it.d.Event.Type(), "id", it.d.Event.ID())
		it.state = itemParked
		e.park.stuck++
	case o.kind == outcomeRetry && it.lane == nil && o.delay >= brokerDelay && o.delay <= e.caps.LongestDelay:
		e.giveBack(it, o.delay)
		e.leave(it)
	default:
		e.park.push(it, now.Add(o.delay))
		e.armTimer(now)
	}
}
