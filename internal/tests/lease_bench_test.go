package leat_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
)

// leasing is a stream that delivers one event again and again, each time under a lease of its own,
// or under one for all.
type leasing struct {
	*fakeBroker

	left  int
	event leat.Event
	lease *leat.Lease // nil for one per delivery
	ends  bool        // with its settlement
}

func (b *leasing) Subscribe(context.Context, leat.Subscription) (leat.Stream, error) {
	return leasingStream{b}, nil
}

type leasingStream struct{ *leasing }

func (s leasingStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	n := min(len(into), s.left)
	if n == 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	s.left -= n
	for i := range n {
		lease := s.lease
		if lease == nil {
			lease = leat.NewLease()
		}
		into[i] = leat.Delivery{Event: s.event, Lease: lease}
	}
	return n, nil
}

func (s leasingStream) Settle(d *leat.Delivery, _ leat.Settlement) {
	if s.ends {
		d.Lease.End(nil)
	}
}

func (leasingStream) Close(context.Context) error { return nil }

// BenchmarkLeasePerMessage is what a lease for each message costs, as with brokers that have a
// timeout for each, beside one for all.
func BenchmarkLeasePerMessage(b *testing.B) {
	for name, kind := range map[string]leasing{"shared": {lease: leat.NewLease()}, "each": {}, "each ended": {ends: true}} {
		b.Run(name, func(b *testing.B) {
			broker := &leasing{fakeBroker: newFakeBroker(), left: b.N, event: event(b, "1", ""), lease: kind.lease, ends: kind.ends}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			left := b.N
			consumer := leat.NewConsumer(broker, testSub, leat.HandlerFunc(func(context.Context, leat.Event) error {
				if left--; left == 0 {
					cancel()
				}
				return nil
			}), &leat.ConsumerOptions{Concurrency: 1})
			b.ReportAllocs()
			b.ResetTimer()
			if err := leat.Run(ctx, consumer); err != nil {
				b.Fatal(err)
			}
		})
	}
}
