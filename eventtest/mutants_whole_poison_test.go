package eventtest_test

import (
	"context"
	"slices"

	"github.com/leatgo/leat"
)

// poisonMutants break what a poison queue needs of an adapter when something does not fit, or is
// refused.
func poisonMutants() []mutant {
	return []mutant{
		{name: "cannot be reached with large events in a poison topic", rule: "whole-poison-what-does-not-fit", wrap: unreachableForLarge()},
		{name: "cuts JSON in a poison topic", rule: "whole-poison-many-attributes", wrap: cutsReduced()},
		{name: "takes the key of what goes to a poison topic", rule: "whole-poison-transport-key", wrap: takesPoisonKey()},
		{name: "declares every group of a poison topic with order", rule: "whole-poison-unordered", wrap: ordersPoison()},
		{name: "forgets the trace context of what is poisoned", rule: "whole-trace-context", wrap: forgetsTraceOfPoison()},
		{name: "forgets the trace context", rule: "whole-trace-context", wrap: forgetsTrace()},
		{name: "acks what was refused when it is given back", rule: "whole-poison-refusal-is-alone", wrap: acksRefused()},
	}
}

// unreachableForLarge breaks P5 and P7: the size of an event is no outage.
func unreachableForLarge() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			if isPoison(topic) && e.Size() > 100<<10 {
				done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable})
				continue
			}
			b.publish(ctx, topic, []leat.Event{e}, func(_ int, err error) { done(i, err) })
		}
	}}).wrap()
}

func cutsReduced() func(leat.Broker) leat.Broker {
	return onPublish(func(topic string, e leat.Event) (leat.Event, bool) {
		if isPoison(topic) && e.Type() == "leat.reduced.v1" {
			return e.WithData(e.DataContentType(), e.Data()[:e.Size()/4]), true
		}
		return e, true
	})
}

func takesPoisonKey() func(leat.Broker) leat.Broker {
	return onPublish(func(topic string, e leat.Event) (leat.Event, bool) {
		if _, ok := e.Extension("leatkey"); ok && isPoison(topic) {
			return e.WithKey(""), true
		}
		return e, true
	})
}

// ordersPoison declares what reads a poison queue as nobody has asked for, so that the Unordered
// subscription cannot be held.
func ordersPoison() func(leat.Broker) leat.Broker {
	return (&defect{declare: func(b *shell, ctx context.Context, subs ...leat.Subscription) error {
		subs = slices.Clone(subs)
		for i := range subs {
			subs[i].Unordered = subs[i].Unordered && !isPoison(subs[i].Topic)
		}
		return leat.Declare(ctx, b.Broker, subs...)
	}}).wrap()
}

func acksRefused() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		if d.Event.Key() == "refused" && how.Action == leat.GiveBack {
			how = leat.Settlement{Action: leat.Ack}
		}
		s.settle(d, how)
	}}).wrap()
}
