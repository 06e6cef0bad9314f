package eventtest_test

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// cancelMutants break what R1 says of a ctx that ends.
func cancelMutants() []mutant {
	return []mutant{
		{
			name: "hides that it was ctx that ended", rule: "receive-canceled",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
					n, err := s.Receive(ctx, into)
					if err != nil && ctx.Err() != nil && leat.CodeOf(err) == leat.CodeCanceled {
						err = failed(leat.CodeCanceled)
					}
					return n, err
				}
			}),
		},
		{
			// Only a wait that is as short as that of one case, so that the others do not wait as
			// well.
			name: "notices late that ctx has ended", rule: "receive-canceled",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
					deadline, ok := ctx.Deadline()
					left := time.Until(deadline)
					n, err := s.Receive(ctx, into)
					if ok && err != nil && left > 2*time.Millisecond && left <= 5*time.Millisecond {
						<-time.After(time.Second)
					}
					return n, err
				}
			}),
		},
	}
}

// buffersWithoutBound takes what it is given while the broker is paused.
func buffersWithoutBound() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if !b.d.gate.paused() {
			b.publish(ctx, topic, events, done)
			return
		}
		own := append([]leat.Event(nil), events...)
		go b.publish(context.WithoutCancel(ctx), topic, own, done)
	}}).wrap()
}
