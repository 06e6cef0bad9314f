package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// session is one run of the suite: what it knows of the adapter, so that each thing is asked for
// once.
type session struct {
	invalid   error // what is wrong with the options
	h         Harness
	opts      *Options
	operation time.Duration
	parallel  int
	stalls    *stalls

	// group and broadcast open a stream each, when the first case needs to know.
	group     func() (offer, error)
	broadcast func() (offer, error)

	claiming sync.Mutex
	claimed  *leat.Capabilities // by the first ordered stream of a group
}

// offer is what an adapter offers, as far as it was asked.
type offer struct {
	capabilities leat.Capabilities // of a group
	declares     bool
	lags         bool
	browses      bool
	broadcasts   bool
	unordered    bool // the adapter has no order by key to offer, or Options.Unordered gives it up
}

func newSession(h Harness, o *Options) *session {
	pace := paceOf(h)
	s := &session{
		h: h, opts: o.withDefaults(pace), invalid: o.validate(), operation: pace.Operation, parallel: pace.Parallel, stalls: measureStalls(),
	}
	s.group = sync.OnceValues(s.learnGroup)
	s.broadcast = sync.OnceValues(s.learnBroadcast)
	return s
}

func (s *session) end() { s.stalls.end() }

// check runs a case on h, or skips it where something that it needs is absent.
func (s *session) check(c *Case, h Harness) Result {
	result := Result{Case: c.Name, Level: c.Level, Rule: c.Rule, Seed: s.opts.Seed}
	if s.invalid != nil {
		result.Status, result.Seen = Failed, []string{s.invalid.Error()}
		return result
	}
	if s.opts.Unordered && slices.Contains(c.Needs, NeedOrder) {
		result.Status, result.Seen = Skipped, []string{"needed: order by key, which Options.Unordered gives up"}
		return result
	}
	missing, err := s.missingNeed(c)
	switch {
	case err != nil:
		result.Status, result.Seen = Failed, []string{err.Error()}
		return result
	case missing != "":
		result.Status, result.Seen = Skipped, []string{"needed: " + string(missing)}
		return result
	}
	return s.execute(c, h)
}

// each calls do with the index of each case and the harness to run it on: as many at a time as the
// harnesses allow, then one per broker for the cases that need a broker of their own, then one by
// one for those that measure the process.
func (s *session) each(cases []Case, do func(i int, h Harness)) {
	harnesses := append([]Harness{s.h}, s.opts.Beside...)
	if s.parallel <= 1 && len(harnesses) == 1 {
		for i := range cases {
			do(i, s.h)
		}
		return
	}
	spread := func(workers int, harnesses []Harness, chosen func(c *Case) bool) {
		next := make(chan int)
		var all sync.WaitGroup
		for _, h := range harnesses {
			for range workers {
				all.Go(func() {
					for i := range next {
						do(i, h)
					}
				})
			}
		}
		for i := range cases {
			if chosen(&cases[i]) {
				next <- i
			}
		}
		close(next)
		all.Wait()
	}
	spread(max(1, s.parallel), harnesses, func(c *Case) bool { return !c.alone && !c.ownsBroker() })
	spread(1, harnesses, func(c *Case) bool { return !c.alone && c.ownsBroker() })
	spread(1, harnesses[:1], func(c *Case) bool { return c.alone })
}

// missingNeed returns the first need of a case that the harness or the adapter does not fulfil.
func (s *session) missingNeed(c *Case) (Need, error) {
	for _, n := range c.Needs {
		if ok, err := s.fulfils(n); err != nil || !ok {
			return n, err
		}
	}
	return "", nil
}

func (s *session) fulfils(n Need) (ok bool, err error) {
	if control := n.control(); control != nil {
		return control(s.h), nil
	}
	ask := s.group
	if n == NeedBroadcast {
		ask = s.broadcast
	}
	o, err := ask()
	return n.offered(o), err
}

// learnGroup opens a stream of a group to learn its capabilities.
func (s *session) learnGroup() (offer, error) {
	return s.learn("the capabilities of a group", func(ctx context.Context, b leat.Broker) (o offer, err error) {
		_, o.declares = b.(leat.Declarer)
		o.unordered = s.opts.Unordered
		sub := leat.Subscription{Topic: s.h.Topic(), Group: "capabilities", Unordered: o.unordered}.WithDefaults()
		stream, err := declareAndSubscribe(ctx, b, sub)
		if leat.CodeOf(err) == leat.CodeUnsupported && !o.unordered {
			o.unordered, sub.Unordered = true, true
			stream, err = declareAndSubscribe(ctx, b, sub)
		}
		if err != nil {
			return o, fmt.Errorf("subscribing: %w", err)
		}
		o.capabilities = stream.Capabilities()
		s.claim(o.capabilities)
		if l, ok := b.(leat.LagReporter); ok { // a wrapper may have nothing to ask
			_, err := l.Lag(ctx, sub.Topic, sub.Group)
			o.lags = leat.CodeOf(err) != leat.CodeUnsupported
		}
		if l, ok := b.(leat.Browser); ok { // likewise
			sub.Group = leat.ReplayGroup // which need not exist
			o.browses = leat.CodeOf(l.Browse(ctx, sub, func(*leat.Delivery) bool { return false })) != leat.CodeUnsupported
		}
		return o, stream.Close(ctx)
	})
}

// declareAndSubscribe opens a stream of a group that may not exist yet.
func declareAndSubscribe(ctx context.Context, b leat.Broker, sub leat.Subscription) (leat.Stream, error) {
	if err := leat.Declare(ctx, b, sub); err != nil {
		return nil, fmt.Errorf("declaring a group: %w", err)
	}
	return b.Subscribe(ctx, sub)
}

// subscription returns that of a group as most cases want it: with order by key, unless the adapter
// refuses that to every group, or the whole run is without.
func (s *session) subscription(topic, group string) leat.Subscription {
	o, _ := s.group() // what is wrong there is reported by the first case that asks the adapter
	return leat.Subscription{Topic: topic, Group: group, Unordered: o.unordered}
}

// standby reports whether one stream of a group receives and the others stand by.
func (s *session) standby() bool {
	o, _ := s.group()
	return o.capabilities.Standby
}

// learnBroadcast tries whether there is a broadcast: a refusal with CodeUnsupported says that there
// is none.
func (s *session) learnBroadcast() (offer, error) {
	return s.learn("whether there is a broadcast", func(ctx context.Context, b leat.Broker) (offer, error) {
		sub := leat.Subscription{Topic: s.h.Topic(), Broadcast: true}.WithDefaults()
		var stream leat.Stream
		err := leat.Declare(ctx, b, sub)
		if err == nil {
			stream, err = b.Subscribe(ctx, sub)
		}
		if leat.CodeOf(err) == leat.CodeUnsupported {
			return offer{}, nil
		}
		if err != nil {
			return offer{}, fmt.Errorf("opening one, which an adapter without one refuses with CodeUnsupported: %w", err)
		}
		return offer{broadcasts: true}, stream.Close(ctx)
	})
}

// errLate says that the adapter does not listen to its context.
var errLate = errors.New("a call into the adapter, or Harness.Open, did not return; every call has to end when its ctx ends")

// learn opens the adapter for f. It ends in bounded time whatever the adapter does.
func (s *session) learn(what string, f func(ctx context.Context, b leat.Broker) (offer, error)) (offer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Patience)
	defer cancel()
	type answer struct {
		offer

		err error
	}
	learned := make(chan answer, 1)
	go func() {
		b, err := s.h.Open(ctx)
		if err != nil {
			learned <- answer{err: fmt.Errorf("the harness cannot open the adapter: %w", err)}
			return
		}
		o, err := f(ctx, b)
		if closing := b.Close(); err == nil && closing != nil {
			err = fmt.Errorf("closing the adapter: %w", closing)
		}
		learned <- answer{o, err}
	}()
	var a answer
	select {
	case a = <-learned:
	case <-ctx.Done():
		select { // closing gets a little more
		case a = <-learned:
		case <-time.After(s.opts.Patience):
			a.err = errLate
		}
	}
	if a.err != nil {
		return offer{}, fmt.Errorf("learning %s: %w", what, a.err)
	}
	return a.offer, nil
}

// claims compares what a stream declares with what the first one of the run declared, since that
// decided which cases run. It returns the difference in words, or nothing. Only streams of the
// subscriptions that most cases use are alike; a broker may read poison queues in a way of its own.
func (s *session) claims(sub leat.Subscription, c leat.Capabilities) string {
	if sub.Broadcast || sub.Group == leat.ReplayGroup || sub.Unordered != s.subscription(sub.Topic, sub.Group).Unordered {
		return ""
	}
	return s.claim(c)
}

func (s *session) claim(c leat.Capabilities) string {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	if s.claimed == nil {
		s.claimed = &c
	}
	if *s.claimed == c {
		return ""
	}
	return fmt.Sprintf("a stream declares %+v, and another of the same kind declared %+v; declare what every stream of the kind holds",
		c, *s.claimed)
}
