package cases

import (
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How many events a round publishes.
const (
	publishEvents   = 200_000
	watermillEvents = 30_000
	oneByOneEvents  = 6_000 // where each waits for the one before
)

// unlinger makes franz-go send at once what there is, as Leat does by default.
func unlinger() kgo.Opt { return kgo.ProducerLinger(0) }

func (e *Env) async() bench.Group {
	const leatCase = "Leat, PublishAsync"
	return bench.Group{
		Name: "publish/async",
		About: "One goroutine publishes to 12 partitions with up to 10,000 events in flight. Watermill has no asynchronous way: " +
			"1,000 goroutines call its Publish. The case with prebuilt events leaves out making and validating them; the others make each.",
		Cases: []bench.Case{
			e.publishes("franz-go Produce, linger 0", publishEvents, franzPublisher(produceAsync, unlinger())),
			e.publishes("franz-go Produce, its default linger of 10 ms", publishEvents, franzPublisher(produceAsync)),
			e.publishes(leatCase, publishEvents, leatPublisher(load.PublishAsync)),
			e.publishes("Leat, PublishAsync, prebuilt events", publishEvents, leatPublisher(load.PublishPrebuilt())),
			e.publishes("sarama AsyncProducer", publishEvents, saramaAsync),
			e.publishes("Watermill Publish, 1,000 goroutines", watermillEvents, watermillPublisher(1_000, 1)),
		},
		Goals: publishGoals(leatCase, "franz-go Produce, its default linger of 10 ms"),
	}
}

func (e *Env) batches() bench.Group {
	const leatCase = "Leat, Publish"
	return bench.Group{
		Name:  "publish/batches",
		About: "4 goroutines publish 1,000 events per call to 12 partitions. Watermill's Publish waits for each event of the call.",
		Cases: []bench.Case{
			e.publishes("franz-go ProduceSync, linger 0", publishEvents, franzPublisher(produceBatches, unlinger())),
			e.publishes("franz-go ProduceSync, its default linger of 10 ms", publishEvents, franzPublisher(produceBatches)),
			e.publishes(leatCase, publishEvents, leatPublisher(load.PublishBatches)),
			e.publishes("Watermill Publish", oneByOneEvents, watermillPublisher(load.Batchers, load.Batch)),
		},
		Goals: publishGoals(leatCase, "franz-go ProduceSync, its default linger of 10 ms"),
	}
}

// publishGoals are those of a case against the base and another raw case.
func publishGoals(leatCase, other string) []bench.Goal {
	return []bench.Goal{
		{Case: leatCase, Min: 0.95},
		{Case: leatCase, Against: other, Min: 0.95},
		{Case: leatCase, Metric: bench.CPURatio, Max: 1.15},
	}
}

func (e *Env) singly() bench.Group {
	const leatCase = "Leat, Publish"
	return bench.Group{
		Name:  "publish/singly",
		About: "256 goroutines publish one event per call to 12 partitions, and wait for each.",
		Cases: []bench.Case{
			e.publishes("franz-go ProduceSync, linger 0", publishEvents/2, franzPublisher(produceSingly, unlinger())),
			e.publishes(leatCase, publishEvents/2, leatPublisher(load.PublishSingly)),
			e.publishes("sarama SyncProducer", publishEvents/4, saramaSync),
			e.publishes("Watermill Publish", watermillEvents, watermillPublisher(load.Callers, 1)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.95}},
	}
}
