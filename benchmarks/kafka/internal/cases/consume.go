package cases

import (
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// How many events a round consumes.
const (
	consumeEvents = 400_000
	sleepEvents   = 80_000
	slowEvents    = 1_000 // where one is in flight at a time
)

func (e *Env) consume() bench.Group {
	const leatCase = "Leat, MaxInFlight 10,000"
	r := reading{what: "many", partitions: manyPartitions, events: consumeEvents}
	return bench.Group{
		Name: "consume",
		About: "A member of a new group consumes 12 partitions that were filled before; the handler only checks that each event comes once " +
			"and in the order of its key. The base polls and looks for the id among the headers, nothing more, and commits what it has polled " +
			"every 5 s; the case below it reads each event into a struct as well, with a copy of its data. " +
			"Leat decodes and validates the event, runs 16 handlers behind `middleware.Retry`, and commits what is handled. " +
			"sarama runs a goroutine for each partition; Watermill has 12 goroutines that read its channel.",
		Cases: []bench.Case{
			e.consumes(r, "franz-go, poll loop", consumeEvents, true, franzConsumer(recordIndex, 0, 0)),
			e.consumes(r, "franz-go, poll loop, events decoded by hand", consumeEvents, true, franzConsumer(decodedIndex, 0, 0)),
			e.consumes(r, leatCase, consumeEvents, true, leatConsumer(16, 10_000, 0)),
			e.consumes(r, "Leat, MaxInFlight 1,000, the default", consumeEvents, true, leatConsumer(16, 1_000, 0)),
			e.consumes(r, "sarama consumer group", consumeEvents, true, saramaConsumer),
			e.consumes(r, "Watermill Subscribe", consumeEvents/4, true, watermillConsumer(manyPartitions, 0)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.9}},
	}
}

func (e *Env) sleeping() bench.Group {
	const leatCase = "Leat, 100 handlers, MaxInFlight 10,000"
	r := reading{what: "one", partitions: 1, events: sleepEvents}
	return bench.Group{
		Name: "consume/1ms",
		About: "A handler that sleeps for 1 ms, one partition, 10,000 keys. The base gives what it polls to 100 goroutines in no order, and " +
			"commits it whether they are done or not. Leat keeps the order of each key. Watermill handles one event of a partition at a time.",
		Cases: []bench.Case{
			e.consumes(r, "franz-go, 100 goroutines without order", sleepEvents, false, franzConsumer(recordIndex, 100, time.Millisecond)),
			e.consumes(r, leatCase, sleepEvents, true, leatConsumer(100, 10_000, time.Millisecond)),
			e.consumes(r, "Watermill Subscribe, 100 goroutines", slowEvents, true, watermillConsumer(100, time.Millisecond)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.9}},
	}
}

// batchSize is how many events a handler of batches takes, and batchWork how long it takes for
// them.
const (
	batchSize = 500
	batchWork = 5 * time.Millisecond
)

func (e *Env) batching() bench.Group {
	const leatCase = "Leat, Batch of 500, MaxInFlight 2,000"
	r := reading{what: "one", partitions: 1, events: sleepEvents}
	return bench.Group{
		Name: "consume/batch",
		About: "A handler that sleeps for 5 ms for a batch of at most 500 events, one batch at a time; one partition, 10,000 keys. The base " +
			"polls 500 records, sleeps, and polls again, in no order that it would have to keep. Leat gathers events of different keys with " +
			"`leat.Batch` behind `middleware.Retry`, with an outcome for each.",
		Cases: []bench.Case{
			e.consumes(r, "franz-go, polls of 500", sleepEvents, false, franzBatches(recordIndex)),
			e.consumes(r, leatCase, sleepEvents, true, leatBatches(2_000)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.9}},
	}
}
