package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/leatgo/leat"
)

// findingsShown is how many findings of one kind are listed for a service; the rest is counted.
const findingsShown = 5

// report is what a run or a check has to say.
type report struct {
	cfg      *config
	account  *account
	findings []finding
	elapsed  time.Duration
	workers  []*worker
	stats    map[string]leat.Stats // by service; empty for a check
}

// newReport takes stock of a, which must not change any more. missing is the kind of finding that
// an unsettled event is.
func newReport(cfg *config, a *account, missing string) *report {
	return &report{cfg: cfg, account: a, findings: a.findings(missing), stats: map[string]leat.Stats{}}
}

// addWorkers adds what the consumers themselves counted.
func (r *report) addWorkers(workers []*worker) {
	r.workers = workers
	for _, w := range workers {
		r.stats[w.name] = w.consumer.Stats()
	}
	if r.account.unsettled() == 0 {
		r.findings = append(r.findings, r.miscounts()...)
	}
}

// miscounts compares the statistics of the library with the ledger. Where a delivery was handled
// more than once, or its lease was lost, they count different things.
func (r *report) miscounts() []finding {
	var all []finding
	for _, w := range r.workers {
		stats, s := r.stats[w.name], r.account.services[w.name]
		if s.again > 0 || stats.LeaseLost > 0 || stats.GivenBack > 0 {
			continue
		}
		for _, c := range []struct {
			what            string
			library, ledger int
		}{
			{"handled, skipped or poisoned", int(stats.Received), s.handled + s.skipped + s.poisoned},
			{"handled", int(stats.Handled), s.handled},
			{"skipped", int(stats.Skipped), s.skipped},
			{"poisoned", int(stats.Poisoned), s.poisoned},
			{"retried", int(stats.Retried), s.retried},
		} {
			if c.library != c.ledger {
				all = append(all, finding{findingMiscounted, w.name, c.what,
					fmt.Sprintf("%d by the consumer's statistics, %d by the ledger", c.library, c.ledger)})
			}
		}
	}
	return all
}

// verdict is nil when everything is accounted for.
func (r *report) verdict() error {
	if n := len(r.findings); n > 0 {
		return fmt.Errorf("findings: %d; not every event is accounted for", n)
	}
	return nil
}

func (r *report) print(out *printer) {
	r.printServices(out)
	r.printPoison(out)
	for _, w := range r.workers {
		out.printf("%-13s  %s\n", w.name, w.service.summary())
	}
	r.printUnpublished(out)
	if len(r.workers) > 0 {
		out.printf("\n```mermaid\n%s```\n", r.flow())
	}
	r.printConclusion(out)
}

func (r *report) printServices(out *printer) {
	out.printf("\n%-13s  %8s  %7s  %7s  %7s  %8s  %8s\n", "service", "received", "handled", "skipped", "retried", "poisoned", "repeated")
	for _, name := range serviceNames() {
		received := "-" // the ledger files do not tell
		if stats, ok := r.stats[name]; ok {
			received = strconv.FormatInt(stats.Received, 10)
		}
		s := r.account.services[name]
		out.printf("%-13s  %8s  %7d  %7d  %7d  %8d  %8d\n", name, received, s.handled, s.skipped, s.retried, s.poisoned, s.again)
	}
	out.printf("\n")
}

func (r *report) printPoison(out *printer) {
	for _, name := range serviceNames() {
		poison := r.account.services[name].poison
		if len(poison) == 0 {
			continue
		}
		out.printf("in the poison queue %s:\n", leat.PoisonTopic(r.cfg.topic, name))
		for _, f := range poison {
			out.printf("  %s, type %s, attempts %d\n    %s\n", f.ID, f.Type, f.Attempt, f.Reason)
		}
	}
	out.printf("\n")
}

// printUnpublished lists what never became a stored event.
func (r *report) printUnpublished(out *printer) {
	for _, f := range r.account.unfit {
		out.printf("not published: %s: %s\n", f.ID, f.Reason)
	}
	for _, e := range r.account.sent {
		switch e.outcome {
		case outcomeOK:
		case "":
			out.printf("no answer of the broker: %s\n", e.ID)
		default:
			out.printf("%s: %s: %s\n", e.outcome, e.ID, e.reason)
		}
	}
}

func (r *report) printConclusion(out *printer) {
	a := r.account
	out.printf("\n%d events confirmed by the broker, %d refused, %d of unknown outcome, %d not published",
		a.count(outcomeOK), a.count(outcomeRefused), a.count(outcomeUnknown)+a.count(""), len(a.unfit))
	if r.elapsed > 0 {
		out.printf("; %s", r.elapsed)
	}
	out.printf("\n")
	if len(r.findings) == 0 {
		out.printf("every event is accounted for in every service: none lost, none invented, none altered, each key in order\n")
		return
	}
	shown := map[string]int{}
	for _, f := range r.findings {
		group := f.kind + " in " + f.service
		if shown[group]++; shown[group] <= findingsShown {
			out.printf("%s\n", f)
		}
	}
	for _, group := range slices.Sorted(maps.Keys(shown)) {
		if shown[group] > findingsShown {
			out.printf("%s: %d in all\n", group, shown[group])
		}
	}
}
