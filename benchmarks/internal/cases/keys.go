package cases

import (
	"fmt"
	"strconv"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// keys compares the cost of an event by the number of distinct keys.
func keys() bench.Group {
	g := bench.Group{
		Name: "keys",
		About: "Leat in memory, 64 handlers, `MaxInFlight` 10,000. Every case publishes the same 1,000,000 prebuilt events of 16 bytes " +
			"once each; only the key set differs: event i has key i modulo the number of keys, each key string is the event's own, and " +
			"all are of one length. So the heap is the same, and at 1,000,000 no key comes twice.",
	}
	for _, n := range []int{10, 1_000, 10_000, 100_000, 1_000_000} {
		name := count(n) + " keys"
		g.Cases = append(g.Cases, bench.Case{
			Name:   name,
			Events: 1_000_000,
			Start: startLeat(pathOptions{
				concurrency: 64, inFlight: 10_000,
				supply: func(events int) (func(int) (leat.Event, error), error) { return smallEvents(events, n) },
			}),
		})
		if n > 10 {
			g.Goals = append(g.Goals, flat(name))
		}
	}
	return g
}

// smallEvents returns n events that are made now, each with a key string of its own.
func smallEvents(n, keys int) (func(i int) (leat.Event, error), error) {
	data := []byte(`{"quantity":12}`)
	events := make([]leat.Event, n)
	for i := range events {
		e, err := newLeatEvent(eventID(i), eventKey(i, keys), data)
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return func(i int) (leat.Event, error) { return events[i], nil }, nil
}

// flat is the goal that a case costs what the base costs, within 25 % either way.
func flat(name string) bench.Goal { return bench.Goal{Case: name, Min: 1 / 1.25, Max: 1.25} }

// count prints n with a comma between thousands.
func count(n int) string {
	if n < 1_000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1_000), n%1_000)
}
