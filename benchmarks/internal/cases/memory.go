package cases

import "github.com/leatgo/leat/benchmarks/internal/bench"

// inMemory compares ways of an event through the process.
func inMemory() bench.Group {
	const (
		depth    = 1_000
		handlers = 64

		noKeys    = "Leat, no keys"
		withKeys  = "Leat, 10,000 keys in order"
		withRetry = "Watermill gochannel, Router, Retry"
	)
	return bench.Group{
		Name: "memory",
		About: "From publish to the handler in one process; 1 KiB of data; one goroutine publishes one event after the other and waits " +
			"for each; 1,000 events in flight; the handler counts. The base is a channel of 1,000 events with 64 receivers. Leat has " +
			"64 handlers, `middleware.Retry` and a poison queue. All parties publish 10,000 prebuilt events in turn. Watermill's messages " +
			"carry their ack state, but gochannel's `Publish` copies them, so they are prebuilt too; its publisher keeps 1,000 " +
			"outstanding, since gochannel has no backpressure, and its output channel has 1,000 places. Neither Watermill's gochannel nor " +
			"the SDK's gochan keeps order by key; gochan hands over a pointer and has no acks, retries or groups.",
		Cases: []bench.Case{
			{
				Name: "buffered channel, 64 receivers", Events: 500_000,
				Start: startChannel(channelOptions{depth: depth, receivers: handlers}),
			},
			{
				Name: "buffered channel, 1 receiver", Events: 500_000,
				Start: startChannel(channelOptions{depth: depth, receivers: 1}),
			},
			{
				Name: noKeys, Events: 300_000,
				Start: startLeat(pathOptions{concurrency: handlers, inFlight: depth}),
			},
			{
				Name: withKeys, Events: 300_000,
				Start: startLeat(pathOptions{keys: 10_000, concurrency: handlers, inFlight: depth}),
			},
			{
				Name: "Leat, no keys, 100 events a Publish", Events: 300_000,
				Start: startLeat(pathOptions{concurrency: handlers, inFlight: depth, batch: 100}),
			},
			{
				Name: "Leat, 10,000 keys in order, 100 events a Publish", Events: 300_000,
				Start: startLeat(pathOptions{keys: 10_000, concurrency: handlers, inFlight: depth, batch: 100}),
			},
			{Name: "CloudEvents SDK gochan, 64 receivers", Events: 300_000, Start: startSDK(depth, handlers)},
			{Name: "Watermill gochannel, Subscribe and Ack", Events: 20_000, Start: startWatermill(depth)},
			{Name: "Watermill gochannel, Router", Events: 20_000, Start: startWatermillRouter(depth)},
			{Name: withRetry, Events: 20_000, Start: startWatermillRouter(depth, watermillRetry())},
		},
		Goals: []bench.Goal{
			{Case: noKeys, Min: 0.5},
			{Case: withKeys, Min: 0.35},
			{Case: noKeys, Metric: bench.Allocs, Max: 3},
			{Case: withKeys, Metric: bench.Allocs, Max: 3},
			{Case: noKeys, Against: withRetry, Min: 20},
		},
	}
}
