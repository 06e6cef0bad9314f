// Package cases has the groups of cases that are measured: the library of a language of schemas,
// and Leat's Enforcer that uses it.
package cases

import (
	"context"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// What a check may cost above the library.
const (
	mostCPU    = 1.05 // of the library's processor time
	mostAllocs = 2.05 // allocations; a twentieth is what the runtime does now and then
	// mostConverted is that of a conversion: the data, and an event for each of its two changes.
	mostConverted = 3.05
)

// All returns every group, in the order of the report.
func All() []bench.Group {
	languages := []language{jsonSchema(), avroLanguage(), protobufLanguage()}
	groups := make([]bench.Group, 0, 2*len(languages)+1)
	for _, l := range languages {
		groups = append(groups, l.publish())
	}
	for _, l := range languages {
		groups = append(groups, l.process())
	}
	return append(groups, converted())
}

// publish is what the Enforcer does to an event on its way to a broker.
func (l *language) publish() bench.Group {
	g := bench.Group{Name: "publish/" + l.name, About: "The middleware of the Producer gets one event of 1 KiB, and checks it. " + l.about}
	g.Cases = []bench.Case{
		l.operation(l.library, l.direct),
		l.operation("Enforcer, the event has a dataschema", func() (func() error, error) { return l.published(true) }),
		l.operation("Enforcer, the event gets its dataschema", func() (func() error, error) { return l.published(false) }),
	}
	return withGoals(g, mostAllocs)
}

// process is what the Enforcer does to an event on its way to the handler.
func (l *language) process() bench.Group {
	g := bench.Group{Name: "process/" + l.name, About: "The middleware of the Consumer gets one event of 1 KiB, and checks it. " + l.about}
	g.Cases = []bench.Case{
		l.operation(l.library, l.direct),
		l.operation("Enforcer, an event of the pinned version", func() (func() error, error) { return l.processed(2, 2) }),
	}
	if !l.converts {
		g.Cases = append(g.Cases,
			l.operation("Enforcer, an event of another version", func() (func() error, error) { return l.processed(1, 2) }))
	}
	return withGoals(g, mostAllocs)
}

// withGoals holds all cases but the first one against it.
func withGoals(g bench.Group, allocs float64) bench.Group {
	for _, c := range g.Cases[1:] {
		g.Goals = append(g.Goals,
			bench.Goal{Case: c.Name, Metric: bench.CPURatio, Max: mostCPU}, bench.Goal{Case: c.Name, Metric: bench.AllocsAbove, Max: allocs})
	}
	return g
}

// operation is a case that calls a function again and again on one goroutine.
func (l *language) operation(name string, prepare func() (func() error, error)) bench.Case {
	return bench.Case{Name: name, Events: l.times, Start: func(context.Context, int) (bench.Instance, error) {
		do, err := prepare()
		return &bench.Loop{Do: do}, err
	}}
}
