package eventtest_test

import (
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// flawed is the wrap of a mutant that is a view itself.
func flawed(change func(f *flaws)) func(leat.Broker) leat.Broker {
	return func(b leat.Broker) leat.Broker {
		if v, ok := b.(*view); ok {
			change(&v.flaws)
		}
		return b
	}
}

// endsAfter makes a client end its leases so much later than at nine tenths of the broker's term.
func endsAfter(tenths int) func(leat.Broker) leat.Broker {
	return flawed(func(f *flaws) { f.term = viewTerm / 10 * time.Duration(tenths) })
}

// extendsNothing makes a stream forget its leases once a case about them is under way: other cases
// may take as long as a term.
func extendsNothing(mutes func(d *leat.Delivery) bool) func(leat.Broker) leat.Broker {
	return flawed(func(f *flaws) { f.mutes = mutes })
}

func isHeld(d *leat.Delivery) bool { return strings.HasPrefix(d.Event.ID(), "held-") }

// isSlow finds the events of whole-slow-handler-keeps-lease.
func isSlow(d *leat.Delivery) bool { return len(d.Event.Data()) == 8 }

// timedMutants are clients that are wrong about their leases.
func timedMutants() []mutant {
	return []mutant{
		{
			name: "extends no lease", rule: "lease-is-extended", wrap: extendsNothing(isHeld),
			others: []string{"isolated-lease-ends", "isolated-lease-ends-first", "isolated-late-settlements"},
		},
		{
			name: "ends no lease by its own clock", rule: "isolated-lease-ends", wrap: endsAfter(10_000),
			others: []string{"isolated-lease-ends-first", "isolated-late-settlements"},
		},
		{
			name: "ends a lease when its messages have gone back", rule: "isolated-lease-ends-first", wrap: endsAfter(14),
			others: []string{"isolated-lease-ends"},
		},
		{
			name: "delivers again what it holds", rule: "held-comes-once", wrap: flawed(func(f *flaws) { f.keepsLost = true }),
		},
		{name: "delivers what is new before what a dead client held", rule: "order-after-crash", wrap: flawed(func(f *flaws) {
			f.received = func(_ *viewStream, ds []leat.Delivery) {
				if len(ds) > 0 && strings.HasPrefix(ds[0].Event.ID(), "crash-") {
					slices.SortStableFunc(ds, func(a, b leat.Delivery) int { return min(a.Deliveries, 2) - min(b.Deliveries, 2) })
				}
			}
		})},
	}
}

// timedWholeMutants are those of the whole level.
func timedWholeMutants() []mutant {
	return []mutant{
		{name: "ends no lease by its own clock", rule: "whole-isolated-holder", wrap: inShell(endsAfter(10_000))},
		{
			name: "extends no lease", rule: "whole-slow-handler-keeps-lease", wrap: inShell(extendsNothing(isSlow)),
		},
	}
}

// inShell puts a shell that breaks nothing around what wrap returns, which can then be paused.
func inShell(wrap func(leat.Broker) leat.Broker) func(leat.Broker) leat.Broker {
	around := (&defect{}).wrap()
	return func(b leat.Broker) leat.Broker { return around(wrap(b)) }
}
