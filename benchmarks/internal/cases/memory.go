package cases

import "github.com/leatgo/leat/benchmarks/internal/bench"

// What the in-memory cases share.
const (
	depth    = 1_000
	handlers = 64
)

// prebuilt compares ways of an event through the process, the event being there.
func prebuilt() bench.Group {
	return inMemory(false, bench.Group{
		Name: "memory/prebuilt",
		About: "From publish to the handler in one process: 1 KiB of data; one goroutine publishes one event after the other and waits " +
			"for each; 1,000 events in flight; the handler counts. The base is a channel of 1,000 events with 64 receivers, which is " +
			"little more than copying a pointer. Leat has 64 handlers, `middleware.Retry` and a poison queue. Every party publishes 10,000 " +
			"prebuilt events in turn; Watermill's messages carry their ack state, but gochannel's `Publish` copies them, so prebuilt ones " +
			"are right there too. gochannel has no backpressure: its publisher keeps 1,000 outstanding, and its output channel " +
			"has 1,000 places, which makes it faster. Neither gochannel nor the SDK's gochan keeps order by key; gochan hands over a pointer " +
			"and has no acks, retries or groups.",
	})
}

// made compares the same with the making of the event.
func made() bench.Group {
	return inMemory(true, bench.Group{
		Name: "memory/made",
		About: "The same, but every party makes each event right before it publishes it, from ids, keys and data that are there, as a " +
			"service does. Leat validates the event and copies its data, in the base as well; the others keep the caller's slice.",
	})
}

// inMemory adds the cases and goals to a group.
func inMemory(made bool, g bench.Group) bench.Group {
	const (
		noKeys    = "Leat, no keys"
		withKeys  = "Leat, 10,000 keys in order"
		withRetry = "Watermill gochannel, Router, Retry"
		byDefault = "Watermill gochannel by default, Router, Retry"
	)
	channelEvents := 2_000_000
	if made {
		channelEvents = 300_000
	}
	path := pathOptions{concurrency: handlers, inFlight: depth, made: made}
	keyed, batched, keyedBatched := path, path, path
	keyed.keys, keyedBatched.keys = 10_000, 10_000
	batched.batch, keyedBatched.batch = 100, 100
	peer := watermillOptions{depth: depth, buffer: depth, made: made}
	retried := peer
	retried.middleware = watermillRetry()
	unbuffered := retried
	unbuffered.buffer = 0
	g.Cases = []bench.Case{
		{
			Name: "buffered channel, 64 receivers", Events: channelEvents,
			Start: startChannel(channelOptions{depth: depth, receivers: handlers, made: made}),
		},
		{
			Name: "buffered channel, 1 receiver", Events: channelEvents,
			Start: startChannel(channelOptions{depth: depth, receivers: 1, made: made}),
		},
		{Name: noKeys, Events: 300_000, Start: startLeat(path)},
		{Name: withKeys, Events: 300_000, Start: startLeat(keyed)},
		{Name: "Leat, no keys, 100 events a Publish", Events: 300_000, Start: startLeat(batched)},
		{Name: "Leat, 10,000 keys in order, 100 events a Publish", Events: 300_000, Start: startLeat(keyedBatched)},
		{
			Name: "CloudEvents SDK gochan, 64 receivers", Events: 300_000,
			Start: startSDK(sdkOptions{depth: depth, receivers: handlers, made: made}),
		},
		{Name: "Watermill gochannel, Subscribe and Ack", Events: 20_000, Start: startWatermill(peer)},
		{Name: "Watermill gochannel, Router", Events: 20_000, Start: startWatermillRouter(peer)},
		{Name: withRetry, Events: 20_000, Start: startWatermillRouter(retried)},
		{Name: byDefault, Events: 20_000, Start: startWatermillRouter(unbuffered)},
	}
	g.Goals = []bench.Goal{
		{Case: noKeys, Min: 0.5},
		{Case: withKeys, Min: 0.35},
		{Case: noKeys, Against: withRetry, Min: 20},
		{Case: noKeys, Against: byDefault, Min: 20},
	}
	if !made {
		g.Goals = append(g.Goals,
			bench.Goal{Case: noKeys, Metric: bench.Allocs, Max: 3},
			bench.Goal{Case: withKeys, Metric: bench.Allocs, Max: 3})
	}
	return g
}
