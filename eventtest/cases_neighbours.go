package eventtest

import (
	"fmt"

	"github.com/leatgo/leat"
)

// neighbourCases publish what the broker refuses together with what it takes.
func neighbourCases() []Case {
	return []Case{
		{
			Name: "unknown-topic-neighbours", Level: Raw,
			Rule: "P5, P7: of many events to a topic that nobody declared each one is stored or refused with CodeNotFound, and those to " +
				"another topic, which are under way with them, are stored",
			check: checkUnknownTopicNeighbours,
		},
	}
}

func checkUnknownTopicNeighbours(r *run) {
	b, topic := r.start(groupA)
	unknown := r.h.Topic()
	const calls, each = 10, 20
	strangers, neighbours := make([]*outcomes, calls), make([]*outcomes, calls)
	for i := range calls {
		strangers[i], neighbours[i] = newOutcomes(each), newOutcomes(each)
		b.Publish(r.ctx, unknown, r.spread(fmt.Sprint("stranger-", i), each), strangers[i].done)
		b.Publish(r.ctx, topic, r.spread(fmt.Sprint("neighbour-", i), each), neighbours[i].done)
	}
	for i := range calls {
		r.eventually("every publish was done", func() bool { return strangers[i].complete() && neighbours[i].complete() })
		for _, err := range strangers[i].errs {
			if code := leat.CodeOf(err); err != nil && code != leat.CodeNotFound {
				r.failf("an event to a topic that nobody declared, published with others, failed with the code %q: %v", code, err)
			}
		}
		for _, err := range neighbours[i].errs {
			if err != nil {
				r.failf("an event failed that was published together with others to a topic that nobody declared: %v", err)
			}
		}
	}
}
