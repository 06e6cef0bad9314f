package eventtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/leatgo/leat"
)

// Exploration is one run of [Explore]: what the function that it is given to wires together.
// Service, Drive, Publish, the invariants and Rand are for that function; Effect and Effects are
// for handlers.
type Exploration struct {
	c          *chaos
	rand       *rand.Rand
	outside    []outsideEvent
	invariants []invariant
}

type outsideEvent struct {
	topic string
	event leat.Event
}

// Service adds a service: a process that can crash and be restarted. run is called once for each of
// its lives, with a broker that belongs to this life; normally it makes a Consumer and returns what
// leat.Run returns. What run makes is lost in a crash, like memory; what is made outside of it
// stays, like a database. ctx ends with a crash. Then the calls of Publish and [Exploration.Effect]
// of this life do not return any more: they end their goroutine, deferred functions run, and
// nothing of it counts. The next life begins when run has returned. A run that returns by itself
// fails the test.
func (x *Exploration) Service(name string, run func(ctx context.Context, b leat.Broker) error) {
	x.add(&service{name: word(name), run: run})
}

// Drive adds a driver, which publishes from outside: it is no part of what is tested, never
// crashes, and its publishes fail now and then. The run lasts until it has returned nil; an error
// fails it.
func (x *Exploration) Drive(name string, run func(ctx context.Context, b leat.Broker) error) {
	x.add(&service{name: word(name), run: run, outside: true})
}

func (x *Exploration) add(s *service) {
	s.c, s.index = x.c, len(x.c.services)
	x.c.services = append(x.c.services, s)
}

// Publish publishes events from outside, one after the other in the order of the calls, beginning
// when all services have started. What fails is published again as it is, so that all of them are
// stored in the end, some of them twice with the same id.
func (x *Exploration) Publish(topic string, events ...leat.Event) {
	for _, e := range events {
		x.outside = append(x.outside, outsideEvent{topic, e})
	}
}

// addPublisher adds the driver that Publish needs.
func (x *Exploration) addPublisher() {
	if len(x.outside) == 0 {
		return
	}
	x.Drive("outside", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/eventtest/outside"})
		for _, o := range x.outside {
			if err := publishUntilStored(ctx, p, o); err != nil {
				return err
			}
		}
		return nil
	})
}

func publishUntilStored(ctx context.Context, p *leat.Producer, o outsideEvent) error {
	for {
		err := p.Publish(ctx, o.topic, o.event)
		if !leat.Retryable(err) || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(time.Millisecond)
		<-timer.C
	}
}

// Effect is called by a handler where its effect takes place: where it charges a card, or commits
// to its database. It counts the effect for the event and the name, and a service can crash right
// before and right after it. Effects survive crashes. commit, if given, is what belongs to the
// effect, as in a transaction: all of it takes place, or nothing. ctx is the handler's own.
func (x *Exploration) Effect(ctx context.Context, e leat.Event, name string, commit ...func()) {
	x.effect(ctx, e, name, false, commit)
}

// EffectOnce is Effect for a handler that is idempotent because its database is: where the effect
// has taken place for the event already, it does nothing and returns false, as a unique key would
// have it. To ask Effects first and act then is not the same: after a lost lease, two handlers of
// one event can be between the two.
func (x *Exploration) EffectOnce(ctx context.Context, e leat.Event, name string, commit ...func()) bool {
	return x.effect(ctx, e, name, true, commit)
}

func (x *Exploration) effect(ctx context.Context, e leat.Event, name string, once bool, commit []func()) bool {
	h := handleOf(ctx)
	if h == nil {
		x.c.fail("wiring", errors.New("Effect was called with a context that is not the handler's"))
		return false
	}
	o := &op{kind: opEffect, h: h, event: e, effect: name, once: once, answer: make(chan answer, 1)}
	if !h.ask(ctx, o) {
		runtime.Goexit()
	}
	a := h.await(ctx, o)
	if !a.skipped {
		for _, f := range commit {
			f()
		}
	}
	if a.last {
		<-h.gone
		runtime.Goexit()
	}
	return !a.skipped
}

// Effects returns how often the effect has taken place for the event.
func (x *Exploration) Effects(e leat.Event, name string) int {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return len(x.c.effects[effectID{idOf(e), name}])
}

// Rand returns a source of random numbers that follows from the seed, for the function that wires
// the run to make different events in each.
func (x *Exploration) Rand() *rand.Rand { return x.rand }

// check checks the invariants in their order, until one is broken.
func (x *Exploration) check() {
	for _, i := range x.invariants {
		if err := x.checkOne(i); err != nil {
			x.c.fail(i.name, err)
			return
		}
	}
}

func (x *Exploration) checkOne(i invariant) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the invariant panicked: %v", v)
		}
	}()
	return i.check()
}
