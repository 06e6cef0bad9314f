package eventtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatgo/leat"
)

// browseCases are about looking at what a group has not finished. Their group is the one that reads
// poison queues: an adapter may be able to show that one alone.
func browseCases() []Case {
	return []Case{{
		Name: "browse", Level: Raw, Needs: []Need{NeedBrowse},
		Rule: "B1, B2 and B5 to B7: a look at a group shows what is not settled, once and in order by key, up to where the topic ended " +
			"when it began; it ends when it is told to",
		check: checkBrowse,
	}, {
		Name: "browse-takes-nothing", Level: Raw, Needs: []Need{NeedBrowse},
		Rule: "B1, B3 and B4: looks at a group, also at what a stream holds, leave all of it to be delivered in order, " +
			"and what was settled stays so",
		check: checkBrowseTakesNothing,
	}}
}

// browse returns what a look at the group shows.
func (r *run) browse(b leat.Broker, topic string) []leat.Delivery {
	var shown []leat.Delivery
	r.must(r.look(r.ctx, b, topic, func(d *leat.Delivery) bool {
		if d.Lease == nil || !d.Lease.Ended() {
			r.notef("%q is shown with a lease that has not ended", nameOf(d))
		}
		shown = append(shown, *d)
		return true
	}), "looking at the group")
	return shown
}

func (r *run) look(ctx context.Context, b leat.Broker, topic string, show func(*leat.Delivery) bool) error {
	browser, ok := b.(leat.Browser)
	if !ok {
		return errors.New("this instance of the adapter is no leat.Browser, and another one is")
	}
	return browser.Browse(ctx, r.subscription(topic, leat.ReplayGroup), show)
}

func checkBrowse(r *run) {
	b, topic := r.start(leat.ReplayGroup, groupB)
	if shown := r.browse(b, topic); len(shown) > 0 {
		r.failf("a group that has nothing shows %s", ids(shown))
	}
	const n = 30
	events := r.series("k", n)
	r.mustPublish(b, topic, events...)
	r.expect("looking at the group", r.browse(b, topic), events...)
	other := r.join(b, topic, groupB)
	other.finish(n) // which is nothing to the group that is looked at
	growing := 0
	r.must(r.look(r.ctx, b, topic, func(*leat.Delivery) bool {
		if growing++; growing <= n {
			r.mustPublish(b, topic, r.event(fmt.Sprintf("later-%d", growing), "k"))
		}
		return growing < 3*n
	}), "looking at a group that grows")
	if growing > n+n/2 {
		r.notef("a look at %d events that grew by one with each shows %d", n, growing)
	}
	seen := 0
	r.must(r.look(r.ctx, b, topic, func(*leat.Delivery) bool {
		seen++
		return seen < 3
	}), "a look that ends early")
	if seen != 3 {
		r.notef("a look that was to end after 3 events has shown %d", seen)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	err := r.look(ctx, b, topic, func(*leat.Delivery) bool {
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) {
		r.notef("a look whose ctx ends returns %v", err)
	}
	nowhere := r.look(r.ctx, b, r.h.Topic(), func(*leat.Delivery) bool { return true })
	r.expectCode("looking at a topic that does not exist", nowhere, leat.CodeNotFound)
}

func checkBrowseTakesNothing(r *run) {
	b, topic := r.start(leat.ReplayGroup)
	const n, done = 30, 10
	events := r.series("k", n)
	r.mustPublish(b, topic, events...)
	r.expect("the first look", r.browse(b, topic), events...)
	r.expect("the second look", r.browse(b, topic), events...)
	rd := r.join(r.open(), topic, leat.ReplayGroup)
	left := without(events, rd.finish(done))
	rd.close()
	r.expect("a look at what is not settled", r.browse(b, topic), left...)
	rd = r.join(r.open(), topic, leat.ReplayGroup)
	rd.take(1)
	r.expect("a look while a stream holds some of it", r.browse(b, topic), left...)
	rd.close()
	rd = r.join(r.open(), topic, leat.ReplayGroup)
	rd.expectByKey("receiving after the looks", rd.finish(len(left)), left...)
	rd.close()
	if shown := r.browse(b, topic); len(shown) > 0 {
		r.notef("a group that has settled everything shows %s", ids(shown))
	}
}
