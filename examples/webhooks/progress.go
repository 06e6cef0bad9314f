package main

import (
	"fmt"
	"time"
)

// progressEvery is how many events of a service make a line.
const progressEvery = 50

// progress prints a line for every so many facts, and one for each event that ends in a poison
// queue. The ledger calls it with one fact at a time.
type progress struct {
	out   *printer
	start time.Time
	total int // events to publish; 0 where that is not known
	count map[string]int
}

func newProgress(out *printer, total int) *progress {
	return &progress{out: out, start: time.Now(), total: total, count: map[string]int{}}
}

func (p *progress) watch(f fact) {
	switch f.Kind {
	case factPublished:
		p.tick("publisher", "events confirmed or refused by the broker")
	case factHandled, factSkipped:
		p.tick(f.Service, "events settled")
	case factPoisoned:
		p.line(f.Service, fmt.Sprintf("gave up on %s: %s", f.ID, f.Reason))
		p.tick(f.Service, "events settled")
	case factUnfit:
		p.total = max(p.total-1, 0)
		p.line("publisher", fmt.Sprintf("cannot publish %s: %s", f.ID, f.Reason))
	}
}

func (p *progress) tick(who, what string) {
	p.count[who]++
	n := p.count[who]
	if n%progressEvery != 0 && n != p.total {
		return
	}
	if p.total > 0 {
		p.line(who, fmt.Sprintf("%d of %d %s", n, p.total, what))
		return
	}
	p.line(who, fmt.Sprintf("%d %s", n, what))
}

func (p *progress) line(who, what string) {
	p.out.printf("%6.2fs  %-13s  %s\n", time.Since(p.start).Seconds(), who, what)
}
