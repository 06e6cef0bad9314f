package eventtest_test

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// browseFunc is leat.Browser.Browse of a mutant; b is the broker behind it.
type browseFunc = func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error

// browseMutants show the wrong things, or do more than show.
func browseMutants() []mutant {
	looking := func(name, rule string, others []string, f browseFunc) mutant {
		return mutant{name: name, rule: rule, others: others, wrap: bend(func(b *bent) { b.browse = f })}
	}
	return []mutant{
		looking("shows only what waits", "browse-takes-nothing", nil,
			func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				return b.Browse(ctx, sub, func(d *leat.Delivery) bool { return d.Deliveries > 0 || show(d) })
			}),
		looking("shows the newest first", "browse", []string{"browse-takes-nothing"},
			func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				var all []leat.Delivery
				err := b.Browse(ctx, sub, func(d *leat.Delivery) bool {
					all = append(all, *d)
					return true
				})
				for i := len(all) - 1; err == nil && i >= 0 && show(&all[i]); i-- {
				}
				return err
			}),
		looking("does not end while the topic grows", "browse", nil,
			func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				for from := int64(0); ; {
					more, on := false, true
					if err := b.Browse(ctx, sub, func(d *leat.Delivery) bool {
						if d.Position.Offset >= from {
							more, from = true, d.Position.Offset+1
							on = show(d)
						}
						return on
					}); err != nil || !more || !on {
						return err
					}
				}
			}),
		looking("does not end when it is told to", "browse", nil,
			func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				return b.Browse(ctx, sub, func(d *leat.Delivery) bool {
					show(d)
					return true
				})
			}),
		looking("does not listen to its context", "browse", nil,
			func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				return b.Browse(context.WithoutCancel(ctx), sub, show)
			}),
		looking("shows a lease that lasts", "browse", []string{"browse-takes-nothing"},
			func(b leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				return b.Browse(ctx, sub, func(d *leat.Delivery) bool {
					d.Lease = leat.NewLease()
					return show(d)
				})
			}),
		{name: "takes what it shows", rule: "browse-takes-nothing", others: []string{"browse"}, wrap: bend(func(b *bent) {
			b.browse = func(inner leat.Browser, ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
				if err := inner.Browse(ctx, sub, show); err != nil {
					return err
				}
				s, err := b.Broker.Subscribe(ctx, sub.WithDefaults())
				if err != nil {
					return err
				}
				brief, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
				into := make([]leat.Delivery, 1)
				if n, _ := s.Receive(brief, into); n > 0 {
					ack(s, &into[0])
				}
				return s.Close(ctx)
			}
		})},
	}
}
