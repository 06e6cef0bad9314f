package cases

import (
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// sleeping compares the concurrency that handlers get.
func sleeping() bench.Group {
	const leatCase = "Leat, 100 handlers, 10,000 keys in order"
	return bench.Group{
		Name: "handler1ms",
		About: "Every handler sleeps for 1 ms; 100 of them run at once, with 1,000 events waiting. The base has no order: 100 goroutines " +
			"read a channel.",
		Cases: []bench.Case{
			{
				Name:   "100 goroutines on a channel",
				Events: 20_000,
				Start:  startChannel(channelOptions{depth: 1_000, receivers: 100, work: time.Millisecond}),
			},
			{
				Name:   leatCase,
				Events: 20_000,
				Start:  startLeat(pathOptions{keys: 10_000, concurrency: 100, inFlight: 1_000, work: time.Millisecond}),
			},
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.9}},
	}
}
