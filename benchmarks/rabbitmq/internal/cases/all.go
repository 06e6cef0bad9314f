// Package cases has the groups of cases that are measured on a RabbitMQ: what Leat does, and what
// its peers do with the same work.
package cases

import (
	"github.com/leatgo/leat/benchmarks/internal/bench"
)

const (
	// shortEvents is how many events a case takes in a smoke test.
	shortEvents = 1_000
	// mostEvents are more than any queue gets.
	mostEvents = 50_000
)

// The types of queues, as the argument x-queue-type has them.
const (
	classic = "classic"
	quorum  = "quorum"
)

// All returns every group, in the order of the report.
func (e *Env) All() []bench.Group {
	return []bench.Group{
		e.async(classic), e.batches(classic), e.async(quorum), e.batches(quorum),
		e.consume(classic), e.sleeping(classic), e.consume(quorum), e.sleeping(quorum),
		e.bridgePublish(classic), e.bridgePublish(quorum), e.bridgeConsume(classic), e.bridgeConsume(quorum),
	}
}
