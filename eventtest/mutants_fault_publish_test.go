package eventtest_test

import (
	"context"
	"sync"

	"github.com/leatgo/leat"
)

// faultPublishMutants are right as long as no connection is lost and no publish is given up. Real
// adapters were like that, and nothing noticed.
func faultPublishMutants() []mutant {
	const cuts, isolation, kills = "publish-across-cuts", "publish-across-isolation", "publish-across-kills"
	const outages = "publish-across-outages"
	refusing := func(err error) error { return &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: err} }
	return []mutant{
		publishing("reports what a lost connection had taken as refused", cuts,
			[]string{kills, outages, "close-while-publishing"}, unknownAs(refusing)),
		publishing("reports what a killed broker had taken as refused", kills,
			[]string{cuts, outages, "close-while-publishing"}, unknownAs(refusing)),
		publishing("reports what a lost connection had taken as stored", cuts, []string{kills, outages, "close-while-publishing"},
			unknownAs(func(error) error { return nil })),
		publishing("publishes again by itself after a lost connection", cuts, []string{kills, outages},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				b.Publish(ctx, topic, events, func(i int, err error) {
					if leat.CodeOf(err) != leat.CodeUnknown {
						done(i, err)
						return
					}
					b.Publish(context.WithoutCancel(ctx), topic, events[i:i+1], func(_ int, err error) { done(i, err) })
				})
			}),
		{
			name: "sends later what it has refused, from the buffer of its client library", rule: isolation, others: []string{cuts, outages},
			wrap: bend(sendsWhatItRefused),
		},
		{
			name: "sends later what it has refused in an outage that it knows of", rule: outages, others: []string{cuts},
			wrap: bend(sendsLaterInOutage),
		},
	}
}

// unknownAs reports other outcomes where they are unknown.
func unknownAs(outcome func(err error) error) func(leat.Broker, context.Context, string, []leat.Event, func(int, error)) {
	return func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		b.Publish(ctx, topic, events, func(i int, err error) {
			if leat.CodeOf(err) == leat.CodeUnknown {
				err = outcome(err)
			}
			done(i, err)
		})
	}
}

// sendsWhatItRefused refuses what is withdrawn, and does not take it out of the buffer.
func sendsWhatItRefused(b *bent) {
	var mu sync.Mutex
	open := map[string]func(err error){}
	b.publish = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		events = append([]leat.Event(nil), events...)
		answer := func(i int, err error) {
			id := events[i].ID()
			mu.Lock()
			tell := open[id]
			delete(open, id)
			mu.Unlock()
			if tell != nil {
				tell(err)
			}
		}
		mu.Lock()
		for i, e := range events {
			open[e.ID()] = func(err error) { done(i, err) }
		}
		mu.Unlock()
		b.Publish(ctx, topic, events, answer)
	}
	b.withdraw = func(_ leat.Broker, ctx context.Context, _ string, events []leat.Event) {
		for _, e := range events {
			mu.Lock()
			tell := open[e.ID()]
			delete(open, e.ID())
			mu.Unlock()
			if tell != nil {
				tell(&leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: context.Cause(ctx)})
			}
		}
	}
}
