package eventtest_test

import (
	"strings"
	"sync"

	"github.com/leatgo/leat"
)

// settleAgainMutants find the delivery to settle by its event.
func settleAgainMutants() []mutant {
	return []mutant{
		settlesNewest("a second ack counts for the event's newer delivery", leat.Ack),
		settlesNewest("a second way back counts for the event's newer delivery", leat.GiveBack),
	}
}

// settlesNewest settles the newest delivery of the event in the place of an older one.
func settlesNewest(name string, which leat.Action) mutant {
	return mutant{name: name, rule: "settle-again", wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
		var newest sync.Map // of deliveries, by event
		s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
			own := *d
			newest.Store(d.Event.ID(), &own)
			return true
		})
		s.settle = func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			if now, ok := newest.Load(d.Event.ID()); ok && how.Action == which && strings.HasPrefix(d.Event.ID(), "twice-") {
				d = now.(*leat.Delivery)
			}
			s.Settle(d, how)
		}
	})}
}
