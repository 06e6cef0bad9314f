package eventtest_test

import (
	"context"
	"sync"

	"github.com/leatgo/leat"
)

// polling is a stream that asks the broker for more for as long as it is open, whether somebody
// will receive that or not.
type polling struct {
	leat.Stream

	receive func(ctx context.Context, into []leat.Delivery) (int, error)
	cancel  context.CancelFunc
	over    sync.WaitGroup
}

func (p *polling) Health() error { return healthOf(p.Stream) }

// Quiesce is where nobody receives any more, so from here the stream polls by itself.
func (p *polling) Quiesce() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.over.Go(func() {
		var fetched [16]leat.Delivery
		for ctx.Err() == nil {
			_, _ = p.receive(ctx, fetched[:]) // it goes back with Close, since nobody settles it
		}
	})
}

func (p *polling) Close(ctx context.Context) error {
	if p.cancel != nil {
		p.cancel()
		p.over.Wait()
	}
	return p.Stream.Close(ctx)
}

func quiesceMutants() []mutant {
	return []mutant{
		{name: "fetches ahead also when nobody will receive", rule: "give-back-counts-once", wrap: bend(func(b *bent) {
			b.stream = func(_ leat.Subscription, s leat.Stream) leat.Stream { return &polling{Stream: s, receive: s.Receive} }
		})},
		{
			name: "forgets settlements once it is quiet", rule: "quiesce-settles",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				var quiet sync.Once
				deaf := make(chan struct{})
				s.quiesce = func(leat.Stream) { quiet.Do(func() { close(deaf) }) }
				s.settle = func(inner leat.Stream, d *leat.Delivery, how leat.Settlement) {
					select {
					case <-deaf:
					default:
						inner.Settle(d, how)
					}
				}
			}),
		},
		{
			name: "hands its keys on when it becomes quiet", rule: "quiesce-settles",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.quiesce = func(inner leat.Stream) { _ = inner.Close(context.Background()) }
			}),
		},
	}
}
