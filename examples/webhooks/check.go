package main

import "fmt"

// The kinds of a finding: each breaks a promise of the library.
const (
	findingLost       = "lost"         // the broker confirmed it, and a service has neither handled nor poisoned it
	findingOpen       = "not settled"  // the same, but the run was stopped first: it is still with the broker
	findingGhost      = "ghost"        // settled, but nobody published it
	findingRefused    = "refused"      // settled, although its publish was refused
	findingAltered    = "altered"      // settled with other data than was published
	findingInverted   = "out of order" // handled after a later event of its key
	findingMiscounted = "miscounted"   // the statistics of the consumer and the ledger differ
)

// finding is one event that is not as it must be.
type finding struct {
	kind    string
	service string
	id      string
	detail  string
}

func (f finding) String() string {
	return fmt.Sprintf("%s: %s in %s: %s", f.kind, f.id, f.service, f.detail)
}

// findings compares, by id, what was published with what every service made of it. An event that is
// missing is of the kind missing.
func (a *account) findings(missing string) []finding {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]finding, 0, len(serviceNames()))
	places := a.places()
	for _, name := range serviceNames() {
		s := a.services[name]
		all = append(all, a.missing(missing, name, s)...)
		all = append(all, a.strangers(name, s)...)
		all = append(all, inversions(name, s, places)...)
	}
	return all
}

func (a *account) missing(kind, name string, s *serviceAccount) []finding {
	var all []finding
	for _, e := range a.sent {
		if _, settled := s.first[e.ID]; e.outcome == outcomeOK && !settled {
			all = append(all, finding{kind, name, e.ID, "confirmed by the broker; neither handled, skipped nor poisoned"})
		}
	}
	return all
}

// strangers finds what a service should not have got at all, or not like this.
func (a *account) strangers(name string, s *serviceAccount) []finding {
	var all []finding
	for _, f := range s.settled {
		e, sent := a.events[f.ID]
		switch {
		case !sent:
			all = append(all, finding{findingGhost, name, f.ID, f.Kind + ", but no publisher sent it"})
		case e.outcome == outcomeRefused:
			all = append(all, finding{findingRefused, name, f.ID, f.Kind + ", although its publish was refused"})
		case e.Digest != f.Digest:
			all = append(all, finding{findingAltered, name, f.ID,
				fmt.Sprintf("%s with data %s; published with %s", f.Kind, f.Digest, e.Digest)})
		}
	}
	return all
}

// place is where an event stands in the order of its key.
type place struct {
	chain    string // places of one chain can be compared
	position int
}

// places gives each event that has one its place. Order is promised to the events of one key from
// one publisher, and not across an event that failed or was published twice: that one has no place,
// and the ones after it begin a new chain.
func (a *account) places() map[string]place {
	places := make(map[string]place, len(a.sent))
	breaks := map[string]int{}
	for i, e := range a.sent {
		if e.Key == "" {
			continue
		}
		order := e.writer + " " + e.Key
		if e.outcome != outcomeOK || e.repeated {
			breaks[order]++
			continue
		}
		places[e.ID] = place{fmt.Sprintf("%s %d", order, breaks[order]), i}
	}
	return places
}

// inversions finds the events that were first handled after a later one of their key. Poisoned
// events have left the order.
func inversions(name string, s *serviceAccount, places map[string]place) []finding {
	type newest struct {
		position int
		id       string
	}
	var all []finding
	last := map[string]newest{}
	for _, f := range s.settled {
		p, ok := places[f.ID]
		if !ok || f.Kind == factPoisoned {
			continue
		}
		before, started := last[p.chain]
		if started && p.position < before.position {
			all = append(all, finding{findingInverted, name, f.ID, "handled after " + before.id + ", which was published later with the same key"})
			continue
		}
		last[p.chain] = newest{p.position, f.ID}
	}
	return all
}

// runCheck accounts for what the parts wrote into the ledger folder.
func runCheck(cfg *config, out *printer) error {
	facts, torn, err := readLedgers(cfg.ledger)
	if err != nil {
		return err
	}
	acct := newAccount()
	for _, f := range facts {
		acct.add(f)
	}
	for _, name := range torn {
		out.printf("%s: the last line was cut off by a kill and is left out\n", name)
	}
	r := newReport(cfg, acct, findingLost)
	r.print(out)
	return r.verdict()
}
