package main

import "sync"

// account follows each event from facts: what was sent, and what became of it in every service.
// Events are told apart by id. A run in one process feeds it as things happen, -run check from the
// ledger files.
type account struct {
	mu       sync.Mutex
	events   map[string]*sentEvent
	sent     []*sentEvent // in the order of their facts
	services map[string]*serviceAccount
	unfit    []fact
	attempts int // to publish, the repeated ones of one event included
	pending  int // pairs of a stored event and a service in which it is not settled
	changed  chan struct{}
}

// sentEvent is an event that was, or was about to be, published.
type sentEvent struct {
	fact

	outcome  string // empty while the broker has not answered
	reason   string
	repeated bool // published more than once, so that it has no one place in the order
}

// serviceAccount is what became of the events in one service.
type serviceAccount struct {
	first    map[string]fact // how each event was settled first: handled, skipped or poisoned
	settled  []fact          // the same in their order
	poison   []fact
	handled  int // events, by their first settlement
	skipped  int
	poisoned int
	retried  int // attempts after the first
	again    int // settlements after the first
}

func newAccount() *account {
	a := &account{
		events:   map[string]*sentEvent{},
		services: map[string]*serviceAccount{},
		changed:  make(chan struct{}, 1),
	}
	for _, name := range serviceNames() {
		a.services[name] = &serviceAccount{first: map[string]fact{}}
	}
	return a
}

// add takes one fact, in the order in which they happened.
func (a *account) add(f fact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch f.Kind {
	case factUnfit:
		a.unfit = append(a.unfit, f)
	case factSent:
		a.addSent(f)
	case factPublished:
		a.addOutcome(f)
	case factFailed:
		a.services[f.Service].countRetry(f)
	case factHandled, factSkipped:
		a.services[f.Service].countRetry(f)
		a.addSettled(f)
	case factPoisoned:
		a.services[f.Service].poison = append(a.services[f.Service].poison, f)
		a.addSettled(f)
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *account) addSent(f fact) {
	a.attempts++
	if e, ok := a.events[f.ID]; ok {
		e.repeated = true
		return
	}
	e := &sentEvent{fact: f}
	a.events[f.ID] = e
	a.sent = append(a.sent, e)
}

func (a *account) addOutcome(f fact) {
	e, ok := a.events[f.ID]
	if !ok || e.outcome == outcomeOK { // without its sent fact, what the services settled of it shows as a ghost
		return
	}
	e.outcome, e.reason = f.Outcome, f.Reason
	if f.Outcome != outcomeOK {
		return
	}
	for _, s := range a.services {
		if _, settled := s.first[f.ID]; !settled {
			a.pending++
		}
	}
}

func (a *account) addSettled(f fact) {
	s := a.services[f.Service]
	if _, settled := s.first[f.ID]; settled {
		s.again++
		return
	}
	s.first[f.ID] = f
	s.settled = append(s.settled, f)
	switch f.Kind {
	case factHandled:
		s.handled++
	case factSkipped:
		s.skipped++
	case factPoisoned:
		s.poisoned++
	}
	if e, ok := a.events[f.ID]; ok && e.outcome == outcomeOK {
		a.pending--
	}
}

func (s *serviceAccount) countRetry(f fact) {
	if f.Attempt > 1 {
		s.retried++
	}
}

// unsettled returns how many pairs of a stored event and a service are still open.
func (a *account) unsettled() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending
}

// count returns how many events were published with the given outcome; the empty one counts those
// without an answer.
func (a *account) count(outcome string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, e := range a.sent {
		if e.outcome == outcome {
			n++
		}
	}
	return n
}
