// Package cases has the groups of cases that are measured on a Kafka: what Leat does, and what its
// peers do with the same work.
package cases

import "github.com/leatgo/leat/benchmarks/internal/bench"

const (
	manyPartitions = 12
	// shortEvents is how many events a case takes in a smoke test.
	shortEvents = 1_000
	// mostEvents are more than any topic gets.
	mostEvents = 700_000
)

// All returns every group, in the order of the report.
func (e *Env) All() []bench.Group {
	return []bench.Group{
		e.async(), e.batches(), e.singly(), e.consume(), e.sleeping(), e.batching(), encode(), e.memory(),
		e.bridgePublish(), e.bridgeConsume(),
	}
}
