package cases

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/leatgo/leat"
	leatmill "github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const bridgeEvents = 20_000

// bridge compares Leat over Watermill's gochannel with gochannel alone.
func bridge() bench.Group {
	const leatCase = "Leat over gochannel"
	plain := watermillOptions{depth: depth, buffer: depth, made: true}
	unbuffered := plain
	unbuffered.buffer = 0
	return bench.Group{
		Name: "bridge",
		About: "What Leat over Watermill's gochannel costs: one goroutine publishes, 1,000 events are in flight, every party makes each event " +
			"right before it publishes it. The base subscribes to gochannel and acks. Leat makes and validates the event, turns it into a " +
			"message and back, and handles it with 16 handlers. The output channel has 1,000 places, or, by default, none.",
		Cases: []bench.Case{
			{Name: "Watermill gochannel, Subscribe and Ack", Events: bridgeEvents, Start: startWatermill(plain)},
			{Name: leatCase, Events: bridgeEvents, Start: startBridge(depth)},
			{Name: "Watermill gochannel by default, Subscribe and Ack", Events: bridgeEvents, Start: startWatermill(unbuffered)},
			{Name: leatCase + " by default", Events: bridgeEvents, Start: startBridge(0)},
			{Name: "Watermill gochannel, Router", Events: bridgeEvents, Start: startWatermillRouter(plain)},
		},
		Goals: []bench.Goal{
			{Case: leatCase, Min: 0.8},
			{Case: leatCase, Against: "Watermill gochannel, Router", Min: 0.8},
			{Case: leatCase + " by default", Against: "Watermill gochannel by default, Subscribe and Ack", Min: 0.8},
		},
	}
}

// bridgePath is Leat over gochannel. That has no backpressure, so the publisher keeps a window, as
// it does for gochannel alone.
type bridgePath struct {
	*load.Counter

	next     func(i int) (leat.Event, error)
	window   chan struct{}
	broker   leat.Broker
	producer *leat.Producer
	stop     context.CancelFunc
	ran      chan error
}

// startBridge returns the set-up with that many places in gochannel's output channel.
func startBridge(buffer int) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, _ int) (bench.Instance, error) {
		next, err := supply(distinctEvents, true, newLeatEvent)
		if err != nil {
			return nil, err
		}
		pubSub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: int64(buffer)}, watermill.NopLogger{})
		broker, err := leatmill.New(pubSub, pubSub, &leatmill.Options{Inline: true})
		if err != nil {
			return nil, err
		}
		p := &bridgePath{
			Counter: load.NewCounter(), next: next, window: make(chan struct{}, depth), broker: broker,
			producer: leat.NewProducer(broker, nil), ran: make(chan error, 1),
		}
		sub := leat.Subscription{Topic: topic, Group: group, Unordered: true}
		stream, err := broker.Subscribe(ctx, sub) // gochannel keeps nothing for a Consumer that has not subscribed yet
		if err != nil {
			return nil, errors.Join(err, broker.Close())
		}
		consumer := leat.NewConsumer(opened{broker, stream}, sub, leat.HandlerFunc(func(context.Context, leat.Event) error {
			<-p.window
			p.Add()
			return nil
		}), nil)
		var running context.Context
		running, p.stop = context.WithCancel(context.WithoutCancel(ctx))
		go func() { p.ran <- leat.Run(running, consumer) }()
		return p, nil
	}
}

// opened is a broker with a stream that was opened before.
type opened struct {
	leat.Broker

	stream leat.Stream
}

func (o opened) Subscribe(context.Context, leat.Subscription) (leat.Stream, error) {
	return o.stream, nil
}

// Run publishes n events.
func (p *bridgePath) Run(ctx context.Context, n int) error {
	p.Expect(n)
	for i := range n {
		p.window <- struct{}{}
		e, err := p.next(i)
		if err != nil {
			return err
		}
		if err := p.producer.Publish(ctx, topic, e); err != nil {
			return err
		}
	}
	return p.Wait(ctx)
}

// Close stops the Consumer and closes the broker.
func (p *bridgePath) Close() error {
	p.stop()
	select {
	case err := <-p.ran:
		return errors.Join(err, p.broker.Close())
	case <-time.After(time.Minute):
		return errors.Join(errors.New("leat.Run did not return within a minute of its context's end"), p.broker.Close())
	}
}
