package eventtest

import (
	"fmt"

	"github.com/leatgo/leat"
)

// publishCases are the cases about Publish at the raw level.
func publishCases() []Case {
	return []Case{
		{
			Name: "done-once", Level: Raw,
			Rule:  "P1: done is called exactly once for every event",
			check: checkDoneOnce,
		},
	}
}

func checkDoneOnce(r *run) {
	b, topic := r.open(), r.h.Topic()
	r.must(leat.Declare(r.ctx, b, leat.Subscription{Topic: topic, Group: "g"}), "declaring")
	events := make([]leat.Event, 100)
	for i := range events {
		e, err := leat.NewEvent("test.v1", &leat.EventOptions{Source: "/eventtest", Key: fmt.Sprint(i % 7)})
		r.must(err, "making an event")
		events[i] = e
	}
	calls := make(chan int, 10*len(events))
	b.Publish(r.ctx, topic, events, func(i int, err error) {
		if err != nil {
			r.note("event %d was not published: %v", i, err)
		}
		calls <- i
	})
	r.eventually("every event was reported", func() bool { return len(calls) >= len(events) })
	pause(r.opts.Quiet)
	counts := map[int]int{}
	for range len(calls) {
		counts[<-calls]++
	}
	for i := range events {
		if counts[i] != 1 {
			r.note("done was called %d times for event %d", counts[i], i)
		}
	}
}
