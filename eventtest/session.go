package eventtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// session is one run of the suite: what it knows of the adapter, so that each thing is asked for once.
type session struct {
	h         Harness
	opts      *Options
	operation time.Duration
	parallel  int
	stalls    *stalls

	// group and broadcast open a stream each, when the first case needs to know.
	group     func() (offer, error)
	broadcast func() (bool, error)

	claiming sync.Mutex
	claimed  *leat.Capabilities // by the first ordered stream of a group
}

// offer is what an adapter offers for a group.
type offer struct {
	capabilities leat.Capabilities
	declares     bool
}

func newSession(h Harness, o *Options) *session {
	pace := paceOf(h)
	s := &session{h: h, opts: o.withDefaults(pace), operation: pace.Operation, parallel: pace.Parallel, stalls: measureStalls()}
	s.group = sync.OnceValues(s.learnGroup)
	s.broadcast = sync.OnceValues(s.learnBroadcast)
	return s
}

func (s *session) end() { s.stalls.end() }

// check runs a case, or skips it where something that it needs is absent.
func (s *session) check(c *Case) Result {
	result := Result{Case: c.Name, Level: c.Level, Rule: c.Rule, Seed: s.opts.Seed}
	missing, err := s.missingNeed(c)
	switch {
	case err != nil:
		result.Status, result.Seen = Failed, []string{err.Error()}
		return result
	case missing != "":
		result.Status, result.Seen = Skipped, []string{"needed: " + string(missing)}
		return result
	}
	return s.execute(c)
}

// each calls do with the index of each case: several at a time, where the harness allows it, and one by one for those that must be alone.
func (s *session) each(cases []Case, do func(i int)) {
	if s.parallel <= 1 {
		for i := range cases {
			do(i)
		}
		return
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range s.parallel {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range cases {
		if !cases[i].runsAlone() {
			next <- i
		}
	}
	close(next)
	workers.Wait()
	for i := range cases {
		if cases[i].runsAlone() {
			do(i)
		}
	}
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
	if n == NeedBroadcast {
		return s.broadcast()
	}
	o, err := s.group()
	if err != nil {
		return false, err
	}
	return n.offered(o), nil
}

// learnGroup opens a stream of a group to learn its capabilities.
func (s *session) learnGroup() (offer, error) {
	var o offer
	err := s.learn("the capabilities of a group", func(ctx context.Context, b leat.Broker) error {
		_, o.declares = b.(leat.Declarer)
		sub := leat.Subscription{Topic: s.h.Topic(), Group: "capabilities"}.WithDefaults()
		if err := leat.Declare(ctx, b, sub); err != nil {
			return fmt.Errorf("declaring a group: %w", err)
		}
		stream, err := b.Subscribe(ctx, sub)
		if err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
		o.capabilities = stream.Capabilities()
		s.claims(sub, o.capabilities)
		return stream.Close(ctx)
	})
	return o, err
}

// learnBroadcast tries whether there is a broadcast: a refusal with CodeUnsupported says that there is none.
func (s *session) learnBroadcast() (ok bool, err error) {
	err = s.learn("whether there is a broadcast", func(ctx context.Context, b leat.Broker) error {
		sub := leat.Subscription{Topic: s.h.Topic(), Broadcast: true}.WithDefaults()
		err := leat.Declare(ctx, b, sub)
		if leat.CodeOf(err) == leat.CodeUnsupported {
			return nil
		}
		if err != nil {
			return fmt.Errorf("declaring a broadcast, which an adapter without one refuses with CodeUnsupported: %w", err)
		}
		stream, err := b.Subscribe(ctx, sub)
		if leat.CodeOf(err) == leat.CodeUnsupported {
			return nil
		}
		if err != nil {
			return fmt.Errorf("subscribing to a broadcast, which an adapter without one refuses with CodeUnsupported: %w", err)
		}
		ok = true
		return stream.Close(ctx)
	})
	return ok, err
}

// errLate says that the adapter does not listen to its context.
var errLate = errors.New("a call into the adapter, or Harness.Open, did not return; every call has to end when its ctx ends")

// learn opens the adapter for f. It ends in bounded time whatever the adapter does.
func (s *session) learn(what string, f func(ctx context.Context, b leat.Broker) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Patience)
	defer cancel()
	learned := make(chan error, 1)
	go func() {
		b, err := s.h.Open(ctx)
		if err != nil {
			learned <- fmt.Errorf("the harness cannot open the adapter: %w", err)
			return
		}
		err = f(ctx, b)
		if closing := b.Close(); err == nil && closing != nil {
			err = fmt.Errorf("closing the adapter: %w", closing)
		}
		learned <- err
	}()
	var err error
	select {
	case err = <-learned:
	case <-ctx.Done():
		select { // closing gets a little more
		case err = <-learned:
		case <-time.After(s.opts.Patience):
			err = errLate
		}
	}
	if err != nil {
		return fmt.Errorf("learning %s: %w", what, err)
	}
	return nil
}

// claims compares what a stream declares with what the first one of the run declared, since that decided which cases run. It returns
// the difference in words, or nothing. Only ordered streams of a group are alike.
func (s *session) claims(sub leat.Subscription, c leat.Capabilities) string {
	if sub.Broadcast || sub.Unordered {
		return ""
	}
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
